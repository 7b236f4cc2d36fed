// Attention of many tokens of a sequence. Tiles of keys are transposed and tiles of values widened once for a
// block of tokens and the heads that share them. Scores and results then are products of small matrices. The
// order of every sum is that of a token alone, so that both ways give the same.
#include <algorithm>

#include "attention_parts.h"

namespace {

constexpr int     ROWS = 6, WIDE = LANES == 16 ? 4 : 2;  // sums in registers
constexpr int64_t KEYS = 64;  // in a tile

// c [R][WIDE * LANES] = (or +=) a [R][n] times b [n][stride].
template <int R, int W>
void multiply_block(const float * const * a, int64_t from, int64_t n, const float * b, int64_t stride, float * const * c,
                    int64_t to, bool more) {
    floats sums[R][W];
    each<R>([&](auto r) {
        each<W>([&](auto w) { sums[r][w] = more ? load(c[r] + to + w * LANES) : zero(); });
    });
    for (int64_t i = 0; i < n; i++, b += stride) {
        floats row[W];
        each<W>([&](auto w) { row[w] = load(b + w * LANES); });
        each<R>([&](auto r) {
            const floats one = all(a[r][from + i]);
            each<W>([&](auto w) { sums[r][w] = fma(row[w], one, sums[r][w]); });
        });
    }
    each<R>([&](auto r) { each<W>([&](auto w) { store(c[r] + to + w * LANES, sums[r][w]); }); });
}

struct blocks_table {
    decltype(&multiply_block<1, 1>) of[ROWS][WIDE];
};

template <int R, int... W> constexpr void fill(blocks_table & table, std::integer_sequence<int, W...>) {
    ((table.of[R][W] = multiply_block<R + 1, W + 1>), ...);
}

template <int... R> constexpr blocks_table make_table(std::integer_sequence<int, R...>) {
    blocks_table table{};
    (fill<R>(table, std::make_integer_sequence<int, WIDE>()), ...);
    return table;
}

// c [rows][to + columns] = (or +=) a [rows][from + n] times b [n][columns].
void multiply(int64_t rows, int64_t columns, const float * const * a, int64_t from, int64_t n, const float * b,
              float * const * c, int64_t to, bool more) {
    static constexpr auto table = make_table(std::make_integer_sequence<int, ROWS>());
    for (int64_t row = 0; row < rows; row += ROWS) {
        for (int64_t column = 0; column < columns; column += WIDE * LANES) {
            const int64_t r = std::min<int64_t>(rows - row, ROWS), w = std::min<int64_t>((columns - column) / LANES, WIDE);
            table.of[r - 1][w - 1](a + row, from, n, b + column, columns, c + row, to + column, more);
        }
    }
}

struct scratch {
    std::vector<int32_t>       places;  // of the keys that any of the tokens sees
    std::vector<float>         masks, scores, keys, values;
    std::vector<const float *> queries, weights;
    std::vector<float *>       to, results;
};

template <bool BF16>
void transpose_keys(const rows_of & keys, const int32_t * places, int64_t count, int64_t width, float * to) {
    for (int64_t at = 0; at < KEYS; at += LANES) {
        for (int64_t d = 0; d < width; d += LANES) {
            floats rows[LANES];
            for (int i = 0; i < LANES; i++) {
                rows[i] = widened<BF16>(keys.at(places[std::min(at + i, count - 1)]) + d);
            }
            transpose(rows);
            for (int i = 0; i < LANES; i++) {
                store(to + (d + i) * KEYS + at, rows[i]);
            }
        }
    }
}

template <bool BF16>
void widen_values(const rows_of & values, const int32_t * places, int64_t count, int64_t width, float * to) {
    for (int64_t at = 0; at < count; at++, to += width) {
        const uint16_t * from = values.at(places[at]);
        for (int64_t d = 0; d < width; d += LANES) {
            store(to + d, widened<BF16>(from + d));
        }
    }
}

// Tokens `first` to `first + tokens - 1` of a stream, and the heads of one key head.
template <bool BF16>
void attend_block(const problem & p, int64_t first, int64_t tokens, int64_t head, int64_t stream, scratch & s) {
    s.places.clear();
    for (int64_t at = 0; at < p.k->ne[1]; at++) {
        bool seen = false;
        for (int64_t token = 0; token < tokens && !seen; token++) {
            seen = p.masks(first + tokens - 1 - token, stream)[at] != INVISIBLE;
        }
        if (seen) {
            s.places.push_back((int32_t) at);
        }
    }
    const int64_t count = s.places.size(), n = padded(count, LANES), line = padded(count, KEYS), rows = tokens * p.heads;
    s.masks.assign(tokens * n, -INFINITY);
    s.scores.resize(rows * line);
    s.queries.resize(rows);
    s.weights.resize(rows);
    s.to.resize(rows);
    s.results.resize(rows);
    for (int64_t row = 0; row < rows; row++) {
        const int64_t token = row / p.heads, of = head * p.heads + row % p.heads;
        s.queries[row] = p.query(first + token, of, stream);
        s.results[row] = p.result(first + token, of, stream);
        s.weights[row] = s.to[row] = s.scores.data() + row * line;
    }
    for (int64_t token = 0; token < tokens; token++) {
        const uint16_t * masks = p.masks(first + token, stream);
        for (int64_t at = 0; at < count; at++) {
            s.masks[token * n + at] = f16_value(masks[s.places[at]]);
        }
    }
    if (count == 0) {
        for (float * result : s.results) {
            std::fill(result, result + p.width, 0.0f);
        }
        return;
    }
    s.keys.resize(p.width * KEYS);
    s.values.resize(p.width * KEYS);
    for (int64_t at = 0; at < count; at += KEYS) {
        transpose_keys<BF16>({ p.k, head, stream }, s.places.data() + at, std::min(KEYS, count - at), p.width, s.keys.data());
        multiply(rows, KEYS, s.queries.data(), 0, p.width, s.keys.data(), s.to.data(), at, false);
    }
    std::vector<float> & inverse = s.keys;  // free by now
    inverse.resize(std::max<size_t>(inverse.size(), rows));
    for (int64_t row = 0; row < rows; row++) {
        inverse[row] = soften(s.to[row], s.masks.data() + row / p.heads * n, n, p.scale);
    }
    for (int64_t at = 0; at < count; at += KEYS) {
        const int64_t some = std::min(KEYS, count - at);
        widen_values<BF16>({ p.v, head, stream }, s.places.data() + at, some, p.width, s.values.data());
        multiply(rows, p.width, s.weights.data(), at, some, s.values.data(), s.results.data(), 0, at > 0);
    }
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t d = 0; d < p.width; d += LANES) {
            store(s.results[row] + d, multiply(load(s.results[row] + d), all(inverse[row])));
        }
    }
}

}  // namespace

void attend_many(const problem & p, int member, int members) {
    static thread_local scratch s;
    const auto    block = p.k->type == abi::BF16 ? attend_block<true> : attend_block<false>;
    const int64_t tokens = p.q->ne[1], key_heads = p.k->ne[2];
    // As many tokens as have their scores in a core's second cache.
    constexpr int64_t CACHE = (512 << 10) / sizeof(float);
    const int64_t at_once = std::clamp<int64_t>(CACHE / (p.k->ne[1] * p.heads) / ROWS * ROWS, ROWS, 2 * ROWS);
    const int64_t blocks  = (tokens + at_once - 1) / at_once;
    for (int64_t unit = member; unit < p.q->ne[3] * blocks * key_heads; unit += members) {
        const int64_t first = unit / key_heads % blocks * at_once;
        block(p, first, std::min(at_once, tokens - first), unit % key_heads, unit / (key_heads * blocks), s);
    }
}
