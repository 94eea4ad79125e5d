#!/usr/bin/env bash
# transformers 5.24.0: where box marks are special tokens, decoding without special tokens makes one number of two.
#
# Families that mark places with special tokens (`<box>` and `</box>`, `<|box_start|>` and its kin) write boxes one
# behind the other, with nothing but the marks between. `decode(skip_special_tokens=True)`, what most pipelines call,
# takes the marks out and puts nothing in their place: the last number of a box and the first of the next become one.
# Of eight numbers seven are left, one of them far outside any frame, and nothing in the text says that two boxes were
# there.
#
# Seen with Python 3.11:
#   <box>100 250 500 875</box><box>600 20 900 400</box>
#   100 250 500 875600 20 900 400
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet transformers==5.24.0 tokenizers==0.23.3 >&2

cat > "$place/decode.py" <<'PYTHON'
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

letters = sorted(pre_tokenizers.ByteLevel.alphabet())
model = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(letters)}, merges=[]))
model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
model.decoder = decoders.ByteLevel()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=model, extra_special_tokens=["<box>", "</box>"])

tokens = tokenizer("<box>100 250 500 875</box><box>600 20 900 400</box>")["input_ids"]
print(tokenizer.decode(tokens))
print(tokenizer.decode(tokens, skip_special_tokens=True))
PYTHON
found=$("$place/venv/bin/python" -W ignore "$place/decode.py")
echo "$found"
[ "$found" = "<box>100 250 500 875</box><box>600 20 900 400</box>
100 250 500 875600 20 900 400" ]
