// Products without a model or llama.cpp, through the code that decoding uses: for tests.
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

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
    std::vector<std::thread> others;
    for (int at = 1; at < threads; at++) {
        others.emplace_back(member, at);
    }
    member(0);
    for (auto & other : others) {
        other.join();
    }
}
