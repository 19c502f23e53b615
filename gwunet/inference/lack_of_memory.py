"""Whether a network failed for want of memory, in whatever words its runtime says so."""

import torch

WORDS = (
    "can't allocate memory",  # torch of the CPU's, on Linux
    "not enough memory",  # the same on Windows
    "out of memory",  # CUDA, from either runtime where it is not torch.OutOfMemoryError
    "_ALLOC_FAILED",  # CUDA's libraries: CUBLAS_STATUS_ALLOC_FAILED, CUDNN_STATUS_ALLOC_FAILED
    "Failed to allocate memory",  # ONNX Runtime's arena, on a CPU as on a GPU
    "is smaller than requested bytes",  # the same, where gpu_mem_limit bounds it
    "bad_alloc",  # C++, as ONNX Runtime passes it on
    "bad allocation",  # the same on Windows
)


def is_lack_of_memory(problem: BaseException) -> bool:
    """By its class where there is one for it, else by its words; also that of an error which is the cause of this."""
    if isinstance(problem, MemoryError | torch.OutOfMemoryError):
        return True
    # ONNX Runtime has a class for each status code and none for memory: Fail, RuntimeException and others come.
    says_so = isinstance(problem, RuntimeError) or type(problem).__module__.startswith("onnxruntime.")
    if says_so and any(words in str(problem) for words in WORDS):
        return True
    return problem.__cause__ is not None and is_lack_of_memory(problem.__cause__)
