// What both ways of attention share.
#pragma once

#include <cmath>
#include <vector>

#include "abi.h"
#include "float_math.h"

constexpr uint16_t INVISIBLE = 0xFC00;  // -infinity in float16

struct problem {
    const abi::tensor *q, *k, *v, *mask, *out;
    int64_t width, heads;  // of a key, and heads that share it
    float   scale;

    explicit problem(const abi::tensor * op)
        : q(op->src[0]), k(op->src[1]), v(op->src[2]), mask(op->src[3]), out(op), width(q->ne[0]),
          heads(k->ne[2] > 0 ? q->ne[2] / k->ne[2] : 0) {
        memcpy(&scale, op->op_params, sizeof(scale));
    }

    const float * query(int64_t token, int64_t head, int64_t stream) const {
        return (const float *) ((const char *) q->data + token * q->nb[1] + head * q->nb[2] + stream * q->nb[3]);
    }

    float * result(int64_t token, int64_t head, int64_t stream) const {
        return (float *) ((char *) out->data + ((stream * out->ne[2] + token) * out->ne[1] + head) * out->nb[1]);
    }

    const uint16_t * masks(int64_t token, int64_t stream) const {
        return (const uint16_t *) ((const char *) mask->data + token * mask->nb[1] + stream % mask->ne[3] * mask->nb[3]);
    }
};

void attend_many(const problem & p, int member, int members);

namespace {

// The rows of one head and stream in a cache of keys or values.
struct rows_of {
    const char * base;
    size_t       stride;

    rows_of(const abi::tensor * t, int64_t head, int64_t stream)
        : base((const char *) t->data + head * t->nb[2] + stream * t->nb[3]), stride(t->nb[1]) {}

    const uint16_t * at(int64_t place) const { return (const uint16_t *) (base + place * stride); }
};

template <bool BF16> ET_INLINE floats widened(const uint16_t * from) {
    if constexpr (BF16) {
        return bf16(from);
    } else {
        return f16(from);
    }
}

ET_INLINE size_t padded(size_t count, size_t to) { return (count + to - 1) / to * to; }

// Turns `n` scores, a multiple of LANES, into weights; gives one over their sum.
ET_INLINE float soften(float * scores, const float * masks, size_t n, float scale) {
    floats most = all(-INFINITY);
    for (size_t at = 0; at < n; at += LANES) {
        const floats s = fma(load(scores + at), all(scale), load(masks + at));
        store(scores + at, s);
        most = maximum(most, s);
    }
    const float top = max_of(most);
    if (top == -INFINITY) {
        std::fill(scores, scores + n, 0.0f);
        return 0.0f;
    }
    floats total = zero();
    for (size_t at = 0; at < n; at += LANES) {
        const floats e = exponential(subtract(load(scores + at), all(top)));
        store(scores + at, e);
        total = add(total, e);
    }
    return 1.0f / sum_of(total);
}

// For many tokens of a sequence.
constexpr int64_t MANY = 8;

}  // namespace
