"""Read whether an answer says yes or no.

Part of the `strict` answer rules (`harness/scoring/answers/check.py`). A word yes or no in a text is an answer only
where it is stated:

- at the beginning of the text or of a sentence, alone or after a lead ("The answer is", "I would say", "so"), with what
  follows set apart by a mark or about the thing asked ("Yes, it is", "no - a cat", "Yes it is");
- `no` before what is not there: "There is no dog", "I see no dog", "No dog is visible", "no-one is there";
- 是, 不是 and their like as the whole text or set apart from an explanation.

Not stated: both words, a word that is quoted, denied or named ("The dog says yes", "Yes would be wrong", "Dr. No",
"No. 1"), idioms ("no doubt", "no wonder", "no-brainer"), hedges ("maybe yes"), refusals ("no image was provided",
"there is no way to know") and an explanation that says the opposite ("Yes, it is not").
"""

from __future__ import annotations

import re
from typing import Final

from harness.scoring.answers.retractions import RETRACTION
from harness.scoring.answers.text import MAX_CHARACTERS, fold, lines, undress

_WORD: Final = re.compile(
    # The two words that are looked for, whole.
    r"(?<![^\W_])(?:yes|no)(?![^\W_])"
)
_MOST_WORDS: Final = 32
"""A text that says it more often than this is no answer."""
_SEEN_CHARACTERS: Final = 160
"""How much before and after the word is looked at."""

_WHOLE_TEXTS: Final = {
    **dict.fromkeys(("是", "是的", "对", "对的", "有", "有的", "はい", "ええ", "네", "예"), "Yes"),
    **dict.fromkeys(("不是", "不是的", "不", "否", "不对", "没有", "没", "いいえ", "아니요", "아니오"), "No"),
}
_CHINESE_LEAD: Final = re.compile(
    # 最终答案:, 正确答案是:, 回答:.
    r"\s*(?:最终|正确)?(?:答案|回答)[是为]? ?: ?"
)
"""With a colon only: 答案是对的 may say that an answer is right."""
_CHINESE_ANSWER: Final = re.compile(
    # A word of answering, then an explanation set apart: 是的,图中有狗. For yes, nothing in it may deny or ask.
    r"\s*(?P<yes>是的?|对的?|有的?)[,.!;] ?(?!.*[不没无非但吗?未否错])"
    # For no the explanation may say 不 and 没 itself; it may not turn round, ask, or leave open.
    r"|\s*(?P<no>不是的?|不对|没有|否|不)[,.!;] ?(?!.*(?:但|吗|\?|无法|不确定"
    r"|不知|错))",
    re.DOTALL,
)
_QUOTING: Final = re.compile(
    # What a sign in the picture says is no answer: after a word of saying a quoted text, or words in capitals.
    # "The text says No", "The sign reads "Yes"", "It reads NO", "The word No".
    r"\b((?:[Ss]a(?:ys?|id|ying)|[Rr]eads?|[Rr]eading|[Ww]ords?|[Tt]ext|[Ss]igns?|[Ll]abel(?:ed)?|[Ww]ritten"
    r"|[Tt]itled?):? )"
    # Two kinds of quotation marks, or none: then up to seven words that begin with capitals.
    r"(?:\"[^\"\n]{1,80}\"|'[^'\n]{1,80}'|[A-Z][\w'-]*(?: [A-Z][\w'-]*){0,6})"
)
_OPENS: Final = re.compile(
    # "Yes, it says "No entry".": the answer comes first, and what is quoted behind it goes.
    r"\W*(?:yes|no)[,.;!] ",
    re.IGNORECASE,
)
_TITLE: Final = re.compile(
    # A capital behind the word and a small letter behind that, unless it begins a sentence: "Yes It is".
    r"\b(?:No|Yes) (?!(?:It|There|He|She|They|This|That|These|The|An|We|You|In|Because|Since|No|Yes)\b)[A-Z][a-z']"
)
"""No Time to Die: a name, not an answer."""
_AROUND: Final = " \n.,;!:\"'()[]*_"

_OPENER: Final = (
    # "So, yes.", "Therefore", "Well, yes.", "Sure, yes.".
    r"(?:(?:so|therefore|thus|hence|then|well|ok|okay|sure|overall|finally|in conclusion|in short),? )?"
)
_SURE: Final = (
    # "Definitely yes.", "The answer is probably yes.", "Clearly no.", "The answer is certainly yes".
    r"(?:(?:definitely|certainly|clearly|obviously|absolutely|probably|presumably|most likely|likely|simply"
    r"|just),? )?"
)
_LEAD: Final = (
    # "I would say yes.", "I'd say no.", "I think the answer is".
    rf"{_OPENER}(?:(?:i(?:'d| would| will)? (?:say|answer|think|believe|go with)(?: that)?"
    r"(?: the answer (?:is|would be))?"
    # "My answer is yes", "Correct answer: Yes.", "The answer should be no".
    r"|(?:(?:the|my|our|this) )?(?:(?:final|correct|right|best|short) ){0,2}(?:answer|ans|response|conclusion"
    r"|verdict)"
    r"(?: to (?:the|this|that|your) question)?(?:,? (?:is|would be|should be|must be|will be))?"
    # "That would be a yes", "It is no".
    r"|(?:it|that)(?:'s| is| would be) (?:a |an )?)[:=,-]? ?)?"
)
_STATED_BEFORE: Final = re.compile(
    # A new sentence, or a conclusion inside of one. After "Dr." none begins; "A. " is an option's letter.
    rf"(?:(?:(?<!\bdr)(?<!\bmr)(?<!\bmrs)(?<!\bst)[.!]|[\n;>]) ?"
    # "Based on the image, yes": where one looked stands before the answer.
    r"|\A(?:based on|looking at|according to|judging by|from|in)"
    r" [^.!?,]{1,60}, "
    # A word that concludes follows a comma or an "and"; a dash sets the answer apart; the text begins with it.
    r"|(?:,|\band) (?=so|therefore|thus|hence|then)|- |\A"
    # The letter of an option, in brackets; the word said twice.
    rf"|\A\(?[a-z]\) ?|(?:yes|no),? )"
    rf"{_LEAD}{_SURE}[\"'(\[*_]*\Z"
)
_AT_THE_END: Final = re.compile(r"\W*\Z")
_APART: Final = re.compile(
    # A mark or a bracket; a colon, but not "no: 1"; a full stop, but not "no. 1"; a dash, not "no-brainer"'s; the end.
    r"[\"')\]*_]*(?: ?[,;!\n(]| ?:(?! ?\d+\W*\Z)| ?\.(?! ?(?:\d|of\b))| -|-(?!\w)|\Z)"
)
"""What sets the word apart from its explanation; "no. 1", "no: 1" and "no-brainer" are other words."""
_SIGNED: Final = re.compile(r"(?<![^\W_])[!¬~]\Z")
"""Right before the word and behind no other: "!yes" is its opposite."""
_GOES_ON: Final = re.compile(
    # "Yes it does", "No I don't": a subject, a reason, the word once more, an adverb of its own, an article.
    r"[\"')\]]* (?:it|there|he|she|they|this|that|these|those|i|we|you|because|since|as|yes|no|indeed"
    r"|definitely|and|the|a|an)\b"
)
"""Words that begin the explanation without a mark; "yes would" and "yes is" speak about the word."""

_EXISTENCE: Final = re.compile(
    # What is said to be without something; "I have no way" and "I know no" say something about the speaker.
    r"(?:\A|[.,;:!\n] ?|\b(?:so|and|but|that|because|since) )"
    # "There is no dog", "In the image, there is no dog."
    r"(?:(?:(?:in|on) (?:the|this) [a-z ]{1,30},? )?(?:there(?:'s| is| are| was| were)"
    # "I see no dog", "I can see no dogs in this picture."
    r"|(?:i|we|one) (?:can |could |do )?(?:see|find|observe|detect|spot|count)"
    # What the picture, or somebody in it, has or shows; or nothing before it: "No dog is visible".
    r"|(?:the|this|it|he|she|they)(?: [a-z]+){0,3} (?:has|have|had|shows?|contains?|holds?|wears?|includes?)) )?\Z"
)
_NO_THINGS: Final = """
image images picture pictures photo photos photograph attachment file upload visual information info detail details
data context input way ways idea clue comment doubt doubts question questions wonder problem problems worries matter
need reason point kidding longer more less fewer sooner later answer answers response evidence proof indication
guarantee certainty knowledge access brainer thank thanks means sense clear definite definitive telling knowing saying
choice option opinion confidence basis surprise chance exception mistake contest big use good luck smoking parking
verdict output pun vacancy vacancies
entry exit trespassing joke dice deal harm hope denying mistaking shortage lack fun offense offence lie cap biggie
sweat preference conclusion result results match signal caption content u-turn other others another limit end yes no
"""
"""What is said to be missing without being a thing of the picture: the picture itself, knowledge, idioms, signs."""
_NO_NOUNS: Final = """
it there he she they this that these those i we you is are was means would will can not of two three how ifs earlier
isn aren wasn weren doesn didn lo
"""
"""Words after "no" that begin a sentence or are of another language, and no noun."""
_NOT_THERE: Final = re.compile(
    # "no-one", else a blank; not "No it isn't", where a sentence begins.
    rf"(?:-(?=one)| )(?!(?:{'|'.join(_NO_NOUNS.split())})\b)"
    # Not "No visible evidence": what lacks is no thing of the picture, also behind two adjectives.
    rf"(?!(?:[a-z]+ ){{0,2}}?(?:{'|'.join(_NO_THINGS.split())})\b)"
    # "No dogs allowed" is a sign; "no animal other than the dog" is a yes.
    r"(?!.*(?:\b(?:allowed|permitted|other than|except|besides|apart from)\b|[^,] but (?:the|one)\b))"
    # "no such thing as".
    r"(?!such thing as\b)"
    # "no one is there"; else any noun, whole.
    r"(?:one (?:is|was|can be|appears|there|here|in|else)\b|(?!one\b)[a-z][a-z-]*(?![^\W_]))"
)
_UNCERTAIN: Final = re.compile(
    # "Possibly yes", "It is unclear, no", "Yes - sorry, I meant no.", "Yes. Just kidding.", "Scratch that.", "Oops!".
    r"\b(?:maybe|perhaps|possibly|unsure|unclear|uncertain|unknown|wait|sorry|hmm|kidding|joking|scratch that|oops"
    r"|guess"
    # "I disagree.", "7 unless", "It depends, yes"; "Yes, allegedly", "partly": said, and not quite.
    r"|disagree|unless|otherwise|depends?|partly|partially|apologi[sz]e|kind of|sort of|in part|in theory|allegedly"
    # "It is not really a yes", "not sure", "Not exactly a yes", "B. Not possible".
    r"|supposedly|in a way|not really|not (?:sure|certain|clear|quite|exactly|possible|provided|visible to me)"
    # "I don't know", "I refuse to say yes", "hardly a yes", "No doubt", "As an AI I say no", "Anything but B".
    r"|(?:doesn't|does not|don't|do not) know|unable|refuse|hardly|doubt|as an ai|as a language model|anything but"
    # "far from yes", "Neither yes", "Never say no", "if yes".
    r"|far from|neither|nor|never say|if)\b"
    # "I can't say yes", "I cannot tell", "Cannot be determined", "No, the question cannot be answered".
    r"|\b(?:can(?:not|'t| not)|could(?:n't| not)) (?:tell|say|know|determine|be sure|answer|view|access"
    r"|confirm|be (?:determined|answered|told|said|known|judged|confirmed|verified))\b"
    # What is wrong with the picture or the question, not what is in it: "No file was attached".
    r"|\bno (?:[a-z]+ ){1,4}(?:was|were|is|has been|have been) (?:provided|given|supplied|attached|uploaded"
    r"|submitted|sent)\b"
    # "No, I can't see images.", "No, I don't have a picture", "No, I did not receive the image".
    r"|\b(?:(?:can(?:not|'t| not)|could(?:n't| not)|do(?:n't| not)|did(?:n't| not)) (?:see|have|find|receive|get)"
    r" (?:(?:the|any|an?|your) )?(?:images?|pictures?|photos?|attachments?)"
    # "No, it is too dark to see"; "No, insufficient data".
    r"|too [a-z]+ to (?:tell|say|see|judge|read|know|determine|make out|be sure)"
    r"|(?:not enough|insufficient|lack of|without more) (?:information|info|details?|context|data|evidence))\b"
    # "Yes or no", "yes or perhaps no", "Yes... or is it"; a question answers nothing.
    r"|\bor (?:yes|no|not|maybe|else|perhaps|is|so|was|does)\b|\?"
    # Offers, requests and receipts: "Yes, I'd be glad to describe it.", "No, I need to view the photo first.",
    # "No, I need more context.".
    r"|\b(?:happy|glad|pleased) to\b|\bplease\b|\bneed (?:to (?:see|view|know)|more|further|additional|another)\b"
    # "Yes! Let's start.", "Yes, let me analyze it.", "Yes, tell me more.", "Yes, go ahead.", "Yes, I understand.",
    # "Yes, I'm listening.".
    r"|\b(?:let's|let (?:me|us)|tell me|go (?:on|ahead)|i understand|i hear you|(?:i'm|i am) (?:ready|listening|here)"
    # "Yes, I am a large language model."
    r"|(?:(?:i am|i'm|being) an? |just an? )(?:ai|(?:large )?language model|assistant|chatbot|bot)"
    # "Yes, I got your message.", "Yes, I have read the question."
    r"|i(?: have|'ve)? (?:got|received|read|heard) (?:it|your|the) (?:message|question|request|prompt"
    r"|instructions?))\b"
    # "Yes, I can help you with that.", "Yes, we can do this.", "Yes, I'll take a look."
    r"|\b(?:(?:i|we) (?:can|could|will|would)(?: certainly| definitely| surely| try to)?|i'll|we'll|let me)"
    r" (?:help|assist|answer|describe|analy[sz]e|take a look|do (?:that|this|it|so))\b"
    # "Yes, I see your photo.", "Yes, I have the picture you sent.": only to the end of the text.
    r"|\bi (?:can |do |have )?(?:see|have|got|received|view)"
    # And whole sentences that take back what was said.
    rf" (?:the|your|this) (?:image|picture|photo)\b(?: you [a-z]+)?\W*\Z|{RETRACTION}"
)
"""What leaves a yes or no unsaid, wherever it stands."""
_NOT_SHOWN: Final = re.compile(
    # "the image is missing", "the picture was not attached".
    r"\b(?:image|picture|photo|attachment) (?:is|was|seems|appears to be)"
    r" (?:missing|not (?:there|attached|included|shown|available|loaded)|unavailable|corrupt(?:ed)?)\b"
)
"""What makes a no one about the picture itself; after a yes it may be what was asked."""
_WRONG: Final = re.compile(
    # "No, this is wrong.", "yes is incorrect", "Yes is false"; untrue by likeness.
    r"\b(?:wrong|incorrect|false|untrue)\b"
)
"""What takes a yes back wherever it stands, and a no before it: "No, the statement is false" is a no."""
_PRONOUN: Final = r"(?:it|there|he|she|they|this|that|these|those|i|we|you|the [a-z]+(?: [a-z]+)?)"
_VERB: Final = r"(?:is|are|was|were|does|do|did|has|have|had|can|could|will|would)"
_DENIES: Final = re.compile(
    # A word of denying at once, also behind an adverb: "Yes, certainly not".
    rf"\W*(?:(?:certainly|definitely|absolutely|of course|probably|really) )?(?:not|nope|never|none|nothing)\b"
    # "Yes, there are none."
    rf"|\W*{_PRONOUN} {_VERB} (?:none|nothing)\b"
    # "Yes it isn't", "Yes, I can't tell": also as the reason that is given.
    rf"|\W*(?:because |since |as )?{_PRONOUN} (?:{_VERB}(?:n't| not| no)\b|can't|cannot|won't)"
    # "Yes, but it is not red" may be a yes; "Yes, however it is not there" takes it back.
    rf"|\W*(?:but|however|although|though|yet|only|except that),? {_PRONOUN} {_VERB}(?: (?:no|none|nothing)\b"
    r"|(?:n't| not) (?:there|here|present|visible|shown|so|true|correct|right|the case|any)\b)"
)
_AFFIRMS: Final = re.compile(
    # "No, it does", to the end of the text: with any other word behind it, it may be what is there instead.
    rf"\W*{_PRONOUN} {_VERB}(?: (?:indeed|there|one|some|present|visible|correct|true|right|so|too|definitely))*\W*\Z"
)


def read_yes_no(text: str) -> str | None:
    """Return `Yes` or `No` as the text states it, or None; see the head of this file. Costs at most milliseconds."""
    text = text.strip()
    if len(text) > MAX_CHARACTERS:
        return None
    text = lines(undress(fold(text)))
    if _OPENS.match(text):
        text = _QUOTING.sub(r"\1this", text)
    if _TITLE.search(text):
        return None
    text = text.casefold()
    whole = _WHOLE_TEXTS.get(_CHINESE_LEAD.sub("", text, count=1).strip(_AROUND))
    if whole is not None:
        return whole
    chinese = _CHINESE_ANSWER.match(text)
    if chinese and not _WORD.search(text):
        return "Yes" if chinese["yes"] else "No"
    said = list(_WORD.finditer(text))
    if not said or len(said) > _MOST_WORDS or len({word.group() for word in said}) != 1 or _UNCERTAIN.search(text):
        return None
    word = said[0].group()
    if word == "no" and _NOT_SHOWN.search(text):
        return None
    if _WRONG.search(text if word == "yes" else text[: said[0].start()]):
        return None
    if not all(_is_stated(text, *found.span()) for found in said):
        return None
    return "Yes" if word == "yes" else "No"


def _is_stated(text: str, start: int, end: int) -> bool:
    """Return whether the word at this place is an answer, and what follows does not say the opposite."""
    before = text[max(0, start - _SEEN_CHARACTERS) : start]
    after = text[end : end + _SEEN_CHARACTERS]
    denied = text[start:end] == "no"
    if denied and _NOT_THERE.match(after) and _EXISTENCE.search(before):
        return True
    opening = _STATED_BEFORE.search(before) or (before.endswith(", ") and _AT_THE_END.match(after))
    if not opening or _SIGNED.search(before) or not (_APART.match(after) or _GOES_ON.match(after)):
        return False
    return not (_AFFIRMS if denied else _DENIES).match(after)
