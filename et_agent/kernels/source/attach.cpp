// Gives llama.cpp's CPU library a buffer type of our own for weights, ahead of its own repacking one. llama.cpp
// then asks us for every operation of a graph before it does it itself.
#include <dlfcn.h>
#include <link.h>
#include <sys/mman.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "attention.h"
#include "products.h"

#define ET_VISIBLE extern "C" __attribute__((visibility("default")))

namespace {

using abi::tensor;

// What is used of llama.cpp's libraries.
struct {
    std::vector<abi::buffer_type *> & (*extra_types)();
    abi::buffer_type * (*cpu_type)();
    abi::buffer * (*allocate)(abi::buffer_type *, size_t);
    bool (*is_host)(abi::buffer_type *);
    void (*barrier)(abi::threadpool *);
    size_t (*tensor_overhead)();
    const char * (*type_name)(int);
    size_t (*type_size)(int);
    int64_t (*block_size)(int);
    const char * (*operation_name)(int);
} ggml;

void wait_for_all(void * pool) { ggml.barrier((abi::threadpool *) pool); }

const product * product_of(const tensor * weights) {
    if (weights->ne[1] < 16 || weights->ne[2] != 1 || weights->ne[3] != 1) {
        return nullptr;
    }
    return ::product_of(weights->type, weights->ne[0]);
}

char * row_of(const tensor * t, int64_t row) {
    const int64_t i1 = row % t->ne[1], i2 = row / t->ne[1] % t->ne[2], i3 = row / (t->ne[1] * t->ne[2]);
    return (char *) t->data + i1 * t->nb[1] + i2 * t->nb[2] + i3 * t->nb[3];
}

int64_t rows_of(const tensor * t) { return t->ne[1] * t->ne[2] * t->ne[3]; }

struct products final : abi::tensor_traits {
    bool work_size(int, const tensor * op, size_t & size) override {
        size = product_of(op->src[0])->work_size(op->src[0]->ne[0], rows_of(op->src[1])) + 64;
        return true;
    }

    bool compute_forward(abi::compute_params * params, tensor * op) override {
        const tensor * weights = op->src[0];
        const batch    batch   = {
            rows_of(op->src[1]),
            [](const void * of, int64_t token) { return (const float *) row_of(((const tensor *) of)->src[1], token); },
            [](const void * of, int64_t token) { return (float *) row_of((const tensor *) of, token); },
            op,
        };
        void * aligned = (void *) (((uintptr_t) params->wdata + 63) / 64 * 64);
        product_of(weights)->run({ params->ith, params->nth, aligned, wait_for_all, params->pool }, weights->ne[1],
                                 weights->ne[0], weights->data, batch);
        return true;
    }
};

struct attention final : abi::tensor_traits {
    bool work_size(int, const tensor *, size_t &) override { return false; }  // what llama.cpp would need

    bool compute_forward(abi::compute_params * params, tensor * op) override {
        if (params->use_ref || !can_attend(op)) {
            return false;
        }
        attend(op, params->ith, params->nth);
        return true;
    }
};

abi::buffer_type own_type;

bool is_own(const tensor * t) { return t->buffer_of != nullptr && t->buffer_of->type == &own_type; }

struct kernels final : abi::extra_buffer_type {
    bool supports_op(abi::device *, const tensor * op) override {
        if (op->op != abi::MUL_MAT || !is_own(op->src[0]) || product_of(op->src[0]) == nullptr) {
            return false;
        }
        const tensor * x = op->src[1];
        return x->type == abi::F32 && (x->buffer_of == nullptr || ggml.is_host(x->buffer_of->type));
    }

    abi::tensor_traits * get_tensor_traits(const tensor * op) override {
        static products  multiplies;
        static attention attends;
        if (op->op == abi::MUL_MAT && is_own(op->src[0])) {
            return &multiplies;
        }
        return op->op == abi::FLASH_ATTN_EXT ? &attends : nullptr;
    }
};

// Calls `what` with the whole pages of some memory.
template <typename WHAT> void with_pages(const void * memory, size_t size, uintptr_t page, WHAT what) {
    const uintptr_t begin = ((uintptr_t) memory + page - 1) / page * page, end = ((uintptr_t) memory + size) / page * page;
    if (begin < end) {
        what((void *) begin, end - begin);
    }
}

// Lets go of pages of the model's file: what has been repacked is not read there again. Only a shared mapping that
// cannot be written is sure to be a file's.
void let_go(const void * data, size_t size) {
    std::FILE * maps = std::fopen("/proc/self/maps", "r");
    char        line[512];
    while (maps != nullptr && std::fgets(line, sizeof(line), maps) != nullptr) {
        uintptr_t begin, end;
        char      access[5];
        if (std::sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s", &begin, &end, access) == 3 && begin <= (uintptr_t) data &&
            (uintptr_t) data + size <= end && strcmp(access, "r--s") == 0) {
            with_pages(data, size, 4096, [](void * at, size_t length) { madvise(at, length, MADV_DONTNEED); });
        }
    }
    if (maps != nullptr) {
        std::fclose(maps);
    }
}

void set_tensor(abi::buffer *, tensor * t, const void * data, size_t offset, size_t size) {
    if (offset != 0 || size != t->nb[1] * rows_of(t)) {
        std::fprintf(stderr, "et-agent: weights must be set as a whole\n");
        std::abort();  // as llama.cpp does for its own repacked weights
    }
    product_of(t)->repack(t->ne[1], t->ne[0], data, t->data);
    let_go(data, size);
}

abi::buffer * allocate(abi::buffer_type *, size_t size) {
    abi::buffer * made = ggml.allocate(ggml.cpu_type(), size);
    if (made != nullptr) {
        with_pages(made->get_base(made), size, 2 << 20, [](void * at, size_t length) { madvise(at, length, MADV_HUGEPAGE); });
        made->type        = &own_type;
        made->set_tensor  = set_tensor;
        made->get_tensor  = nullptr;  // the weights are not as they were
        made->cpy_tensor  = nullptr;
    }
    return made;
}

size_t packed_size(abi::buffer_type *, const tensor * t) {
    const product * one = product_of(t);
    return one != nullptr ? one->weights_size(t->ne[1], t->ne[0]) : t->nb[1] * rows_of(t);
}

// llama-cpp-python has copies of each library under several names: the one that is loaded counts.
struct search {
    std::string folder, found;

    static int look(dl_phdr_info * info, size_t, void * at) {
        auto &            self = *(search *) at;
        const std::string name = info->dlpi_name;
        const size_t      end  = name.rfind('/') + 1;
        if (name.compare(end, 11, "libggml-cpu") == 0 && (self.found.empty() || name.compare(0, end, self.folder) == 0)) {
            self.found = name;
        }
        return 0;
    }
};

std::string failure;

bool resolve(void * library) {
    auto get = [&](auto & to, const char * name) {
        to = (std::remove_reference_t<decltype(to)>) dlsym(library, name);
        if (to == nullptr) {
            failure = std::string(name) + " is missing";
        }
        return to != nullptr;
    };
    return get(ggml.extra_types, "_Z39ggml_backend_cpu_get_extra_buffer_typesv") &&
           get(ggml.cpu_type, "ggml_backend_cpu_buffer_type") && get(ggml.allocate, "ggml_backend_buft_alloc_buffer") &&
           get(ggml.is_host, "ggml_backend_buft_is_host") && get(ggml.barrier, "ggml_barrier") &&
           get(ggml.tensor_overhead, "ggml_tensor_overhead") && get(ggml.type_name, "ggml_type_name") &&
           get(ggml.type_size, "ggml_type_size") && get(ggml.block_size, "ggml_blck_size") &&
           get(ggml.operation_name, "ggml_op_name");
}

// Whether the library is laid out as `abi.h` says, as far as it tells.
bool verify() {
    static const struct { int type; const char * name; size_t size; int64_t block; } types[] = {
        { abi::F32, "f32", 4, 1 },         { abi::F16, "f16", 2, 1 },         { abi::BF16, "bf16", 2, 1 },
        { abi::Q4_0, "q4_0", 18, 32 },     { abi::Q5_0, "q5_0", 22, 32 },     { abi::Q8_0, "q8_0", 34, 32 },
        { abi::Q4_K, "q4_K", 144, 256 },   { abi::Q5_K, "q5_K", 176, 256 },   { abi::Q6_K, "q6_K", 210, 256 },
        { abi::IQ4_NL, "iq4_nl", 18, 32 }, { abi::Q4_1, "q4_1", 20, 32 },     { abi::Q5_1, "q5_1", 24, 32 },
    };
    static const struct { int op; const char * name; } operations[] = {
        { abi::MUL_MAT, "MUL_MAT" }, { abi::FLASH_ATTN_EXT, "FLASH_ATTN_EXT" },
    };
    if (ggml.tensor_overhead() != 368) {
        failure = "ggml_tensor has another size";
        return false;
    }
    for (const auto & one : types) {
        const char * name = ggml.type_name(one.type);
        if (name == nullptr || strcmp(name, one.name) != 0 || ggml.type_size(one.type) != one.size ||
            ggml.block_size(one.type) != one.block) {
            failure = std::string("the type ") + one.name + " is another one";
            return false;
        }
    }
    for (const auto & one : operations) {
        if (strcmp(ggml.operation_name(one.op), one.name) != 0) {
            failure = std::string("the operation ") + one.name + " is another one";
            return false;
        }
    }
    const abi::buffer_type * cpu = ggml.cpu_type();
    if (cpu == nullptr || cpu->is_host == nullptr || !ggml.is_host(ggml.cpu_type()) || cpu->get_name == nullptr ||
        strcmp(cpu->get_name(ggml.cpu_type()), "CPU") != 0) {
        failure = "buffer types are laid out in another way";
        return false;
    }
    return true;
}

}  // namespace

// Null when attached (again, too), otherwise why not. To be called before a model is loaded.
ET_VISIBLE const char * et_kernels_attach(const char * path_of_libggml_cpu) {
    if (own_type.get_name != nullptr) {
        return nullptr;
    }
    search loaded;
    loaded.folder = path_of_libggml_cpu;
    loaded.folder.erase(loaded.folder.rfind('/') + 1);
    dl_iterate_phdr(search::look, &loaded);
    void * library = loaded.found.empty() ? nullptr : dlopen(loaded.found.c_str(), RTLD_NOW | RTLD_NOLOAD);
    if (library == nullptr) {
        failure = "llama.cpp's CPU library is not loaded";
        return failure.c_str();
    }
    if (!resolve(library) || !verify()) {
        return failure.c_str();
    }
    auto &             types = ggml.extra_types();
    abi::buffer_type * cpu   = ggml.cpu_type();
    own_type.get_name        = [](abi::buffer_type *) { return "CPU_ET_AGENT"; };
    own_type.alloc_buffer    = allocate;
    own_type.get_alignment   = cpu->get_alignment;
    own_type.get_alloc_size  = packed_size;
    own_type.device_of       = cpu->device_of;
    own_type.context         = new kernels;
    auto at                  = types.begin();
    while (at != types.end() && *at != nullptr && strstr((*at)->get_name(*at), "AMX") != nullptr) {
        ++at;
    }
    types.insert(at, &own_type);
    return nullptr;
}

ET_VISIBLE const char * et_kernels_instructions() {
#if defined(__AVX512VNNI__)
    return "avx512-vnni";
#elif defined(__AVXVNNI__) || defined(ET_KERNELS_EVEX)
    return "avx-vnni";
#else
    return "avx2";
#endif
}
