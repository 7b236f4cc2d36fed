// Attention of one token at a time. The heads that share a key are done together, so that keys and values are
// read and widened once for all of them. Only the keys a token sees are touched, in order, so that neither the
// place of a sequence in the cache nor other sequences change a result.
#include "attention.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "exponential.h"
#include "lanes.h"

namespace {

constexpr int      HEADS    = 8;  // that share a key, at most
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
};

template <bool BF16> ET_INLINE floats widened(const uint16_t * from) {
    if constexpr (BF16) {
        return bf16(from);
    } else {
        return f16(from);
    }
}

struct scratch {
    std::vector<const uint16_t *> keys, values;
    std::vector<int32_t>          visible;
    std::vector<float>            masks, scores;
};

// scores [HEADS][n] of LANES keys from `at` on.
template <int R, bool BF16>
void score(int64_t width, const float * const * q, const uint16_t * const * keys, float * const * scores) {
    floats sums[R];
    for (int h = 0; h < R; h++) {
        sums[h] = zero();
    }
    for (int64_t d = 0; d < width; d += LANES) {
        floats rows[LANES];
        for (int i = 0; i < LANES; i++) {
            rows[i] = widened<BF16>(keys[i] + d);
        }
        transpose(rows);
        for (int i = 0; i < LANES; i++) {
            for (int h = 0; h < R; h++) {
                sums[h] = fma(rows[i], all(q[h][d + i]), sums[h]);
            }
        }
    }
    for (int h = 0; h < R; h++) {
        store(scores[h], sums[h]);
    }
}

// Turns scores into weights, and gives one over their sum.
ET_INLINE float soften(float * scores, const float * masks, size_t n, float scale) {
    floats most = all(-INFINITY);
    for (size_t at = 0; at < n; at += LANES) {
        const floats s = fma(load(scores + at), all(scale), load(masks + at));
        store(scores + at, s);
        most = maximum(most, s);
    }
    const floats top   = all(max_of(most));
    floats       total = zero();
    for (size_t at = 0; at < n; at += LANES) {
        const floats e = exponential(subtract(load(scores + at), top));
        store(scores + at, e);
        total = add(total, e);
    }
    const float sum = sum_of(total);
    return sum > 0.0f ? 1.0f / sum : 0.0f;
}

template <int R, bool BF16>
void mix(int64_t width, size_t count, const uint16_t * const * values, const float * weights, size_t n,
         const float * inverse, float * const * out) {
    constexpr int WIDE = R * 2 + 3 <= (LANES == 16 ? 32 : 16) ? 2 : 1;
    int64_t d = 0;
    auto part = [&](auto wide) __attribute__((always_inline)) {
        floats sums[R][wide];
        for (int h = 0; h < R; h++) {
            for (int i = 0; i < wide; i++) {
                sums[h][i] = zero();
            }
        }
        for (size_t at = 0; at < count; at++) {
            floats v[wide];
            for (int i = 0; i < wide; i++) {
                v[i] = widened<BF16>(values[at] + d + i * LANES);
            }
            for (int h = 0; h < R; h++) {
                const floats weight = all(weights[h * n + at]);
                for (int i = 0; i < wide; i++) {
                    sums[h][i] = fma(v[i], weight, sums[h][i]);
                }
            }
        }
        for (int h = 0; h < R; h++) {
            for (int i = 0; i < wide; i++) {
                store(out[h] + d + i * LANES, multiply(sums[h][i], all(inverse[h])));
            }
        }
        d += wide * LANES;
    };
    while (d + WIDE * LANES <= width) {
        part(std::integral_constant<int, WIDE>());
    }
    while (d < width) {
        part(std::integral_constant<int, 1>());
    }
}

template <int R, bool BF16> void attend_heads(const problem & p, scratch & s, const float * const * q, float * const * out) {
    const size_t count = s.visible.size(), n = s.masks.size();
    s.scores.resize(R * n);
    for (size_t at = 0; at < n; at += LANES) {
        float * to[R];
        for (int h = 0; h < R; h++) {
            to[h] = s.scores.data() + h * n + at;
        }
        score<R, BF16>(p.width, q, s.keys.data() + at, to);
    }
    float inverse[R];
    for (int h = 0; h < R; h++) {
        inverse[h] = soften(s.scores.data() + h * n, s.masks.data(), n, p.scale);
    }
    mix<R, BF16>(p.width, count, s.values.data(), s.scores.data(), n, inverse, out);
}

struct heads_table {
    void (*of[HEADS])(const problem &, scratch &, const float * const *, float * const *);
};

template <bool BF16, int... R> constexpr heads_table table_of(std::integer_sequence<int, R...>) {
    return {{attend_heads<R + 1, BF16>...}};
}

// The keys that a token sees, and their masks.
void look(const problem & p, int64_t token, int64_t stream, scratch & s) {
    const auto * line = (const uint16_t *) ((const char *) p.mask->data + token * p.mask->nb[1] +
                                            stream % p.mask->ne[3] * p.mask->nb[3]);
    s.visible.clear();
    s.masks.clear();
    for (int64_t at = 0; at < p.k->ne[1]; at++) {
        if (line[at] != INVISIBLE) {
            s.visible.push_back((int32_t) at);
            s.masks.push_back(f16_value(line[at]));
        }
    }
    s.masks.resize((s.masks.size() + LANES - 1) / LANES * LANES, -INFINITY);
}

void point(const abi::tensor * t, int64_t head, int64_t stream, size_t n, const scratch & s, std::vector<const uint16_t *> & to) {
    const char * base = (const char *) t->data + head * t->nb[2] + stream * t->nb[3];
    to.resize(n);
    for (size_t i = 0; i < n; i++) {
        // Beyond the last one any key will do: its mask is -infinity.
        to[i] = (const uint16_t *) (base + s.visible[std::min(i, s.visible.size() - 1)] * t->nb[1]);
    }
}

}  // namespace

bool can_attend(const abi::tensor * op) {
    const problem p(op);
    float         max_bias, softcap;
    memcpy(&max_bias, op->op_params + 1, sizeof(float));
    memcpy(&softcap, op->op_params + 2, sizeof(float));
    const auto *q = p.q, *k = p.k, *v = p.v;
    return q->type == abi::F32 && (k->type == abi::F16 || k->type == abi::BF16) && v->type == k->type && p.mask != nullptr &&
           p.mask->type == abi::F16 && p.mask->ne[2] == 1 && op->src[4] == nullptr && max_bias == 0.0f && softcap == 0.0f &&
           p.width % 16 == 0 && v->ne[0] == p.width && p.heads >= 1 && p.heads <= HEADS && q->ne[2] == p.heads * k->ne[2] &&
           k->ne[2] == v->ne[2] && k->ne[3] == q->ne[3] && v->ne[3] == q->ne[3] && q->nb[0] == sizeof(float) &&
           k->nb[0] == sizeof(uint16_t) && v->nb[0] == sizeof(uint16_t);
}

void attend(const abi::tensor * op, int member, int members) {
    static constexpr auto f16_of  = table_of<false>(std::make_integer_sequence<int, HEADS>());
    static constexpr auto bf16_of = table_of<true>(std::make_integer_sequence<int, HEADS>());
    static thread_local scratch s;
    const problem p(op);
    const auto    run = (p.k->type == abi::BF16 ? bf16_of : f16_of).of[p.heads - 1];
    const int64_t tokens = p.q->ne[1], key_heads = p.k->ne[2], units = p.q->ne[3] * tokens * key_heads;
    int64_t       looked_at = -1;
    for (int64_t unit = units * member / members; unit < units * (member + 1) / members; unit++) {
        const int64_t head = unit % key_heads, token = unit / key_heads % tokens, stream = unit / (key_heads * tokens);
        if (unit / key_heads != looked_at) {
            look(p, token, stream, s);
            looked_at = unit / key_heads;
        }
        const float * q[HEADS];
        float *       out[HEADS];
        for (int64_t h = 0; h < p.heads; h++) {
            const int64_t at = head * p.heads + h;
            q[h]   = (const float *) ((const char *) p.q->data + token * p.q->nb[1] + at * p.q->nb[2] + stream * p.q->nb[3]);
            out[h] = (float *) ((char *) op->data + (stream * op->ne[2] * op->ne[1] + at + token * op->ne[1]) * op->nb[1]);
        }
        if (s.visible.empty()) {
            for (int64_t h = 0; h < p.heads; h++) {
                std::fill(out[h], out[h] + p.width, 0.0f);
            }
            continue;
        }
        point(p.k, head, stream, s.masks.size(), s, s.keys);
        point(p.v, head, stream, s.visible.size(), s, s.values);
        run(p, s, q, out);
    }
}
