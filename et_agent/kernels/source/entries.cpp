// Products without a model or llama.cpp, through the code that decoding uses: for tests.
#include <array>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

#include "attention.h"
#include "products.h"

#define ET_VISIBLE extern "C" __attribute__((visibility("default")))

namespace {

struct meeting {
    std::mutex              lock;
    std::condition_variable all_there;
    int                     members, waiting = 0, round = 0;

    static void wait(void * what) {
        auto &                       self = *(meeting *) what;
        std::unique_lock<std::mutex> hold(self.lock);
        const int                    round = self.round;
        if (++self.waiting == self.members) {
            self.waiting = 0;
            self.round++;
            self.all_there.notify_all();
        } else {
            self.all_there.wait(hold, [&] { return self.round != round; });
        }
    }
};

template <typename WHAT> void by_threads(int threads, WHAT what) {
    std::vector<std::thread> others;
    for (int at = 1; at < threads; at++) {
        others.emplace_back(what, at);
    }
    what(0);
    for (auto & other : others) {
        other.join();
    }
}

struct lines {
    const float * from;
    float *       to;
    int64_t       columns, rows;
};

}  // namespace

// Bytes of repacked weights, or 0 where their type or shape stays with llama.cpp.
ET_VISIBLE int64_t et_kernels_packed_size(int type, int64_t rows, int64_t columns) {
    const product * one = product_of(type, columns);
    return one == nullptr ? 0 : (int64_t) one->weights_size(rows, columns);
}

ET_VISIBLE void et_kernels_pack(int type, int64_t rows, int64_t columns, const void * weights, void * packed) {
    product_of(type, columns)->repack(rows, columns, weights, packed);
}

// out [tokens, rows] = x [tokens, columns] times the transposed weights [rows, columns].
ET_VISIBLE void et_kernels_product(int type, int64_t rows, int64_t columns, int64_t tokens, const void * packed,
                                   const float * x, float * out, int threads) {
    const product * one   = product_of(type, columns);
    const lines     where = { x, out, columns, rows };
    const batch     batch = {
        tokens,
        [](const void * at, int64_t token) -> const float * {
            return ((const lines *) at)->from + token * ((const lines *) at)->columns;
        },
        [](const void * at, int64_t token) { return ((const lines *) at)->to + token * ((const lines *) at)->rows; },
        &where,
    };
    std::vector<char> work(one->work_size(columns, tokens) + 64);
    void *            aligned = (void *) (((uintptr_t) work.data() + 63) / 64 * 64);
    meeting           all;
    all.members = threads;
    auto member = [&](int at) { one->run({ at, threads, aligned, meeting::wait, &all }, rows, columns, packed, batch); };
    by_threads(threads, member);
}

// q and out as float32, k and v as float16 or bfloat16, mask as float16:
// q [streams, heads, tokens, width], k and v [streams, key_heads, keys, width], mask [streams, tokens, keys],
// out [streams, tokens, heads, width]. 0 where such attention stays with llama.cpp.
ET_VISIBLE int et_kernels_attention(int type, int64_t width, int64_t heads, int64_t key_heads, int64_t tokens,
                                    int64_t keys, int64_t streams, float scale, const void * q, const void * k,
                                    const void * v, const void * mask, void * out, int threads) {
    auto made = [](int type, size_t size, std::array<int64_t, 4> shape, const void * data) {
        abi::tensor t{};
        t.type = type;
        t.data = const_cast<void *>(data);
        for (int i = 0; i < 4; i++) {
            t.ne[i] = shape[i];
            t.nb[i] = i == 0 ? size : t.nb[i - 1] * shape[i - 1];
        }
        return t;
    };
    abi::tensor from[] = {
        made(abi::F32, 4, { width, tokens, heads, streams }, q),
        made(type, 2, { width, keys, key_heads, streams }, k),
        made(type, 2, { width, keys, key_heads, streams }, v),
        made(abi::F16, 2, { keys, tokens, 1, streams }, mask),
    };
    abi::tensor op = made(abi::F32, 4, { width, heads, tokens, streams }, out);
    op.op          = abi::FLASH_ATTN_EXT;
    memcpy(op.op_params, &scale, sizeof(scale));
    for (int i = 0; i < 4; i++) {
        op.src[i] = &from[i];
    }
    if (!can_attend(&op)) {
        return 0;
    }
    by_threads(threads, [&](int at) { attend(&op, at, threads); });
    return 1;
}
