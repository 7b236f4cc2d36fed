// Attention of llama.cpp's graphs (GGML_OP_FLASH_ATTN_EXT).
#pragma once

#include "abi.h"

// Whether `attend` can do it; otherwise it stays with llama.cpp.
bool can_attend(const abi::tensor * op);

// One thread's share of the work.
void attend(const abi::tensor * op, int member, int members);
