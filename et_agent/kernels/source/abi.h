// What this library shares with llama.cpp's CPU library: the layouts of ggml (MIT licence), of the
// revision in llama-cpp-python 0.3.36. Only what is used is declared, and `attach.cpp` checks at run
// time all that can be checked.
#pragma once

#include <cstddef>
#include <cstdint>

namespace abi {

enum type : int32_t {
    F32 = 0, F16 = 1, Q4_0 = 2, Q4_1 = 3, Q5_0 = 6, Q5_1 = 7, Q8_0 = 8, Q4_K = 12, Q5_K = 13, Q6_K = 14, IQ4_NL = 20,
    BF16 = 30,
};

enum operation : int32_t { MUL_MAT = 29, FLASH_ATTN_EXT = 74 };

struct buffer;
struct buffer_type;
struct device;
struct threadpool;

struct tensor {
    int32_t  type;
    buffer * buffer_of;
    int64_t  ne[4];  // elements
    size_t   nb[4];  // strides in bytes
    int32_t  op;
    int32_t  op_params[16];
    int32_t  flags;
    tensor * src[10];
    tensor * view_src;
    size_t   view_offset;
    void *   data;
    char     name[64];
    void *   extra;
    char     padding[8];
};
static_assert(sizeof(tensor) == 336, "ggml_tensor");

struct buffer_type {
    const char * (*get_name)(buffer_type *);
    buffer *     (*alloc_buffer)(buffer_type *, size_t);
    size_t       (*get_alignment)(buffer_type *);
    size_t       (*get_max_size)(buffer_type *);
    size_t       (*get_alloc_size)(buffer_type *, const tensor *);
    bool         (*is_host)(buffer_type *);
    device *     device_of;
    void *       context;
};
static_assert(sizeof(buffer_type) == 64, "ggml_backend_buffer_type");

struct buffer {
    void   (*free_buffer)(buffer *);
    void * (*get_base)(buffer *);
    int    (*init_tensor)(buffer *, tensor *);
    void   (*memset_tensor)(buffer *, tensor *, uint8_t, size_t, size_t);
    void   (*set_tensor)(buffer *, tensor *, const void *, size_t, size_t);
    void   (*get_tensor)(buffer *, const tensor *, void *, size_t, size_t);
    void   (*set_tensor_2d)(buffer *, tensor *, const void *, size_t, size_t, size_t, size_t, size_t);
    void   (*get_tensor_2d)(buffer *, const tensor *, void *, size_t, size_t, size_t, size_t, size_t);
    bool   (*cpy_tensor)(buffer *, const tensor *, tensor *);
    void   (*clear)(buffer *, uint8_t);
    void   (*reset)(buffer *);
    buffer_type * type;
    void *        context;
    size_t        size;
    int32_t       usage;
};
static_assert(sizeof(buffer) == 120, "ggml_backend_buffer");

struct compute_params {
    int          ith, nth;  // this thread, and threads
    size_t       wsize;
    void *       wdata;  // shared by the threads
    threadpool * pool;
    bool         use_ref;
};
static_assert(sizeof(compute_params) == 40, "ggml_compute_params");

// ggml::cpu::tensor_traits and ggml::cpu::extra_buffer_type. The Itanium C++ ABI orders virtual functions
// as they are declared, so that classes of another name with the same ones will do.
struct tensor_traits {
    virtual ~tensor_traits()                                                   = default;
    virtual bool work_size(int threads, const tensor * op, size_t & size)      = 0;
    virtual bool compute_forward(compute_params * params, tensor * op)         = 0;
};

struct extra_buffer_type {
    virtual ~extra_buffer_type()                                  = default;
    virtual bool            supports_op(device *, const tensor *) = 0;
    virtual tensor_traits * get_tensor_traits(const tensor *)     = 0;
};

// Blocks of weights as they are in a file. Scales `d` and minima `m` are float16.
struct block_q4_0   { uint16_t d; uint8_t qs[16]; };
struct block_q4_1   { uint16_t d, m; uint8_t qs[16]; };
struct block_q5_0   { uint16_t d; uint8_t qh[4]; uint8_t qs[16]; };
struct block_q5_1   { uint16_t d, m; uint8_t qh[4]; uint8_t qs[16]; };
struct block_q8_0   { uint16_t d; int8_t qs[32]; };
struct block_q4_K   { uint16_t d, dmin; uint8_t scales[12]; uint8_t qs[128]; };
struct block_q5_K   { uint16_t d, dmin; uint8_t scales[12]; uint8_t qh[32]; uint8_t qs[128]; };
struct block_q6_K   { uint8_t ql[128]; uint8_t qh[64]; int8_t scales[16]; uint16_t d; };
using block_iq4_nl = block_q4_0;
static_assert(sizeof(block_q4_1) == 20 && sizeof(block_q5_1) == 24, "blocks of 32 with a minimum");
static_assert(sizeof(block_q4_0) == 18 && sizeof(block_q5_0) == 22 && sizeof(block_q8_0) == 34, "blocks of 32");
static_assert(sizeof(block_q4_K) == 144 && sizeof(block_q5_K) == 176 && sizeof(block_q6_K) == 210, "blocks of 256");

}  // namespace abi
