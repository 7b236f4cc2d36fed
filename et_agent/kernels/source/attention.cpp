// Attention of few tokens of each sequence. The heads that share a key are done together, so that keys and values
// are read and widened once for all of them. Only the keys a token sees are touched, in order, so that neither the
// place of a sequence in the cache nor other sequences change a result.
#include "attention.h"

#include <algorithm>

#include "attention_parts.h"

namespace {

constexpr int HEADS = 8;  // that share a key, at most

struct scratch {
    std::vector<int32_t>          visible;
    std::vector<float>            masks, scores, inverse;
    std::vector<const uint16_t *> keys, values;
    std::vector<const float *>    queries;
    std::vector<float *>          results;

    // The keys that a token sees, and their masks.
    void look(const problem & p, int64_t token, int64_t stream) {
        const uint16_t * line = p.masks(token, stream);
        visible.clear();
        masks.clear();
        for (int64_t at = 0; at < p.k->ne[1]; at++) {
            if (line[at] != INVISIBLE) {
                visible.push_back((int32_t) at);
                masks.push_back(f16_value(line[at]));
            }
        }
        masks.resize(padded(masks.size(), LANES), -INFINITY);
    }

    void point(const problem & p, int64_t head, int64_t stream) {
        const rows_of k(p.k, head, stream), v(p.v, head, stream);
        keys.resize(masks.size());
        values.resize(masks.size());
        for (size_t i = 0; i < masks.size(); i++) {
            // Beyond the last one any key will do: its mask is -infinity.
            const int32_t at = visible[std::min(i, visible.size() - 1)];
            keys[i]          = k.at(at);
            values[i]        = v.at(at);
        }
    }
};

// Asks for rows some time before they are read, which a CPU does not foresee by itself.
ET_INLINE void expect(const std::vector<const uint16_t *> & rows, size_t from, size_t count, int64_t width,
                      int64_t heads, int64_t next) {
    for (size_t i = from; i < std::min(from + count, rows.size()); i++) {
        for (int64_t head = 0; head < heads; head++) {
            for (int64_t d = 0; d < width; d += 32) {
                _mm_prefetch((const char *) (rows[i] + head * next + d), _MM_HINT_T0);
            }
        }
    }
}

// Scores of LANES keys for the R heads that share them.
template <int R, bool BF16>
ET_INLINE void score(int64_t width, const float * const * q, const uint16_t * const * keys, int64_t offset,
                     float * scores, size_t n) {
    floats sums[R];
    each<R>([&](auto h) { sums[h] = zero(); });
    for (int64_t d = 0; d < width; d += LANES) {
        floats rows[LANES];
        for (int i = 0; i < LANES; i++) {
            rows[i] = widened<BF16>(keys[i] + offset + d);
        }
        transpose(rows);
        for (int i = 0; i < LANES; i++) {
            each<R>([&](auto h) { sums[h] = fma(rows[i], all(q[h][d + i]), sums[h]); });
        }
    }
    each<R>([&](auto h) { store(scores + h * n, sums[h]); });
}

// Adds W registers of values, by the weights of R heads.
template <int R, int W, bool BF16>
ET_INLINE void mix(int64_t d, size_t count, const uint16_t * const * values, int64_t offset, const float * weights,
                   size_t n, bool more, float * const * out) {
    floats sums[R][W];
    each<R>([&](auto h) { each<W>([&](auto i) { sums[h][i] = more ? load(out[h] + d + i * LANES) : zero(); }); });
    for (size_t at = 0; at < count; at++) {
        floats v[W];
        each<W>([&](auto i) { v[i] = widened<BF16>(values[at] + offset + d + i * LANES); });
        each<R>([&](auto h) {
            const floats weight = all(weights[h * n + at]);
            each<W>([&](auto i) { sums[h][i] = fma(v[i], weight, sums[h][i]); });
        });
    }
    each<R>([&](auto h) { each<W>([&](auto i) { store(out[h] + d + i * LANES, sums[h][i]); }); });
}

// Some key heads of one token, with R heads each, whose queries and results are given.
template <int R, bool BF16>
void attend_heads(const problem & p, scratch & s, int64_t key_heads, const float * const * q, float * const * out) {
    constexpr size_t KEYS = 64;  // whose values stay in the nearest cache
    constexpr int    W    = LANES == 16 && R <= 6 ? 4 : LANES == 16 || R <= 6 ? 2 : 1;
    const size_t     count = s.visible.size(), n = s.masks.size();
    const int64_t    next_k = p.k->nb[2] / sizeof(uint16_t), next_v = p.v->nb[2] / sizeof(uint16_t);
    s.scores.resize(key_heads * R * n);
    for (size_t at = 0; at < n; at += LANES) {
        expect(s.keys, at + 2 * LANES, LANES, p.width, key_heads, next_k);
        for (int64_t head = 0; head < key_heads; head++) {
            score<R, BF16>(p.width, q + head * R, s.keys.data() + at, head * next_k, s.scores.data() + head * R * n + at, n);
        }
    }
    expect(s.values, 0, KEYS, p.width, key_heads, next_v);
    s.inverse.resize(key_heads * R);
    for (int64_t h = 0; h < key_heads * R; h++) {
        s.inverse[h] = soften(s.scores.data() + h * n, s.masks.data(), n, p.scale);
    }
    for (size_t at = 0; at < count; at += KEYS) {
        expect(s.values, at + KEYS, KEYS, p.width, key_heads, next_v);
        for (int64_t head = 0; head < key_heads; head++) {
            const auto    values  = s.values.data() + at;
            const float * weights = s.scores.data() + head * R * n + at;
            const size_t  some    = std::min(KEYS, count - at);
            int64_t       d       = 0;
            for (; d + W * LANES <= p.width; d += W * LANES) {
                mix<R, W, BF16>(d, some, values, head * next_v, weights, n, at > 0, out + head * R);
            }
            for (; d < p.width; d += LANES) {
                mix<R, 1, BF16>(d, some, values, head * next_v, weights, n, at > 0, out + head * R);
            }
        }
    }
    for (int64_t h = 0; h < key_heads * R; h++) {
        for (int64_t d = 0; d < p.width; d += LANES) {
            store(out[h] + d, multiply(load(out[h] + d), all(s.inverse[h])));
        }
    }
}

struct heads_table {
    void (*of[HEADS])(const problem &, scratch &, int64_t, const float * const *, float * const *);
};

template <bool BF16, int... R> constexpr heads_table table_of(std::integer_sequence<int, R...>) {
    return {{attend_heads<R + 1, BF16>...}};
}

void attend_few(const problem & p, int member, int members) {
    static constexpr auto f16_of  = table_of<false>(std::make_integer_sequence<int, HEADS>());
    static constexpr auto bf16_of = table_of<true>(std::make_integer_sequence<int, HEADS>());
    static thread_local scratch s;
    const auto    run = (p.k->type == abi::BF16 ? bf16_of : f16_of).of[p.heads - 1];
    const int64_t rows = p.q->ne[3] * p.q->ne[1], key_heads = p.k->ne[2];
    // All key heads of a token together read its rows in order; where there are few tokens, each is work of its own.
    const int64_t share = rows >= 2 * members ? key_heads : 1, units = rows * key_heads / share;
    int64_t       looked_at = -1;
    for (int64_t unit = units * member / members; unit < units * (member + 1) / members; unit++) {
        const int64_t row = unit * share / key_heads, first = unit * share % key_heads;
        const int64_t token = row % p.q->ne[1], stream = row / p.q->ne[1];
        if (row != looked_at) {
            s.look(p, token, stream);
            looked_at = row;
        }
        s.queries.clear();
        s.results.clear();
        for (int64_t head = first * p.heads; head < (first + share) * p.heads; head++) {
            s.queries.push_back(p.query(token, head, stream));
            s.results.push_back(p.result(token, head, stream));
        }
        if (s.visible.empty()) {
            for (float * result : s.results) {
                std::fill(result, result + p.width, 0.0f);
            }
            continue;
        }
        s.point(p, first, stream);
        run(p, s, share, s.queries.data(), s.results.data());
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
    const problem p(op);
    if (p.q->ne[1] >= MANY) {
        attend_many(p, member, members);
    } else {
        attend_few(p, member, members);
    }
}
