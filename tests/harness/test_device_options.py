import subprocess
import sys

import pytest

from harness.models.device_options import device_option_faults, read_batch_size


@pytest.mark.parametrize(
    "options",
    [
        ("auto", "auto", "auto", None),
        ("cpu", "float32", "1", "eager"),
        ("cuda", "bfloat16", 8, "sdpa"),
        ("cuda:7", "float16", "64", "flash_attention_2"),
        ("mps", "auto", "auto", "kernels-community/flash-attn"),
    ],
)
def test_what_torch_and_transformers_know_is_taken(options):
    assert device_option_faults(*options) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("gpu", "auto", "auto"), "device 'gpu' is not known: give auto, cpu, cuda or cuda:1. Did you mean 'cuda'?"),
        (("coda", "auto", "auto"), "Did you mean 'cuda'?"),
        (("CPU", "auto", "auto"), "Did you mean 'cpu'?"),
        (("cuda:", "auto", "auto"), "device 'cuda:' is not known"),
        (("cuda:one", "auto", "auto"), "device 'cuda:one' is not known"),
        (("0", "auto", "auto"), "device '0' is not known"),
        (("tpu9", "auto", "auto"), "device 'tpu9' is not known"),
        (("auto", "bf16", "auto"), "dtype 'bf16' is not known: give auto, float32, bfloat16, float16. Did you mean"),
        (("auto", "bf16", "auto"), "Did you mean 'bfloat16'?"),
        (("auto", "fp16", "auto"), "Did you mean 'float16'?"),
        (("auto", "half", "auto"), "Did you mean 'float16'?"),
        (("auto", "torch.bfloat16", "auto"), "Did you mean 'bfloat16'?"),
        (("auto", "int8", "auto"), "dtype 'int8' is not known"),
        (("auto", "auto", "0"), "batch_size is '0'; give a whole number of at least 1, or auto."),
        (("auto", "auto", "atuo"), "Did you mean 'auto'?"),
        (("auto", "auto", "8.5"), "batch_size is '8.5'"),
        (("auto", "auto", "-1"), "batch_size is '-1'"),
        (("auto", "auto", "٣"), "batch_size is '٣'"),
        (("auto", "auto", "auto", "flash"), "Did you mean 'flash_attention_2'?"),
        (("auto", "auto", "auto", "spda"), "attention 'spda' is not known: give eager, sdpa"),
    ],
)
def test_what_they_do_not_know_is_named_with_what_was_meant(options, said):
    (fault,) = device_option_faults(*options)

    assert said in fault


def test_all_faults_are_named_together():
    assert len(device_option_faults("gpu", "fp8", "many", "fast")) == 4


@pytest.mark.parametrize(("written", "size"), [("8", 8), (8, 8), ("08", 8), (True, None), (0, None), ("1e3", None)])
def test_batch_sizes_are_whole_numbers(written, size):
    assert read_batch_size(written) == size


@pytest.mark.parametrize(
    "options", [["--device", "gpu"], ["--dtype", "fp16"], ["--batch-size", "lots"], ["--attn-implementation", "fast"]]
)
def test_the_command_refuses_them_before_torch_is_loaded(options):
    code = (
        "import sys; sys.argv = ['satori-bench', 'run', '--model', 'nowhere', *sys.argv[1:]]\n"
        "import satori_bench\n"
        "try: satori_bench.main()\n"
        "except SystemExit as left: print(left.code, 'torch' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code, *options], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["2", "False"]
    assert "is not known" in done.stderr or "give a whole number" in done.stderr
