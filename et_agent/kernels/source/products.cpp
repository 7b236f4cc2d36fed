#include "products.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "weights.h"

namespace {

// LANES rows times R tokens.
template <int R, typename WEIGHTS>
void multiply_tile(int64_t blocks, const WEIGHTS * w, const typename WEIGHTS::tokens * a, bool first, float (*out)[LANES]) {
    floats total[R];
    each<R>([&](auto r) { total[r] = zero(); });
    for (int64_t b = 0; b < blocks; b++) {
        if (first) {
            for (size_t line = 0; line < sizeof(WEIGHTS); line += 64) {
                _mm_prefetch((const char *) (w + blocks + b) + line, _MM_HINT_T1);  // the next rows
            }
        }
        w[b].add_to(total, a[b]);
    }
    WEIGHTS::finish(total, a[blocks - 1]);
    each<R>([&](auto r) { store(out[r], total[r]); });
}

// Up to four tokens by their number, beyond that by twos: a place that is too many holds whatever it did before.
constexpr int SIZES = 2 + TILE / 2;
constexpr int place_of(int tokens) { return tokens <= 4 ? tokens - 1 : 1 + (tokens + 1) / 2; }
constexpr int size_at(int place) { return place < 4 ? place + 1 : 2 * place - 2; }

template <typename WEIGHTS, int... PLACE>
constexpr auto tiles_of(std::integer_sequence<int, PLACE...>) {
    using function = void (*)(int64_t, const WEIGHTS *, const typename WEIGHTS::tokens *, bool, float (*)[LANES]);
    struct table { function of[SIZES]; };
    return table{{multiply_tile<size_at(PLACE), WEIGHTS>...}};
}

template <typename WEIGHTS> struct product_with final : product {
    using tokens = typename WEIGHTS::tokens;
    using block  = typename WEIGHTS::block;

    static int64_t groups_of(int64_t rows) { return (rows + LANES - 1) / LANES; }
    static int64_t tiles_in(int64_t tokens) { return (tokens + TILE - 1) / TILE; }

    size_t weights_size(int64_t rows, int64_t columns) const override {
        return groups_of(rows) * (columns / tokens::WIDTH) * sizeof(WEIGHTS);
    }

    void repack(int64_t rows, int64_t columns, const void * from, void * to) const override {
        const int64_t blocks  = columns / tokens::WIDTH;
        const auto *  source  = (const block *) from;
        auto *        weights = (WEIGHTS *) to;
        memset(to, 0, weights_size(rows, columns));
        for (int64_t row = 0; row < rows; row++) {
            for (int64_t b = 0; b < blocks; b++) {
                weights[row / LANES * blocks + b].put(source[row * blocks + b], row % LANES);
            }
        }
    }

    size_t work_size(int64_t columns, int64_t count) const override {
        return 64 + tiles_in(count) * (columns / tokens::WIDTH) * sizeof(tokens);
    }

    void run(const team & team, int64_t rows, int64_t columns, const void * weights, const batch & batch) const override {
        static constexpr auto tile_of = tiles_of<WEIGHTS>(std::make_integer_sequence<int, SIZES>());
        if (batch.tokens == 0) {
            return;
        }
        const int64_t blocks = columns / tokens::WIDTH, tiles = tiles_in(batch.tokens);
        // All tiles are about as full, in pairs of tokens, since a nearly empty one costs as much in unpacking.
        const int64_t count = batch.tokens, pairs = (count + 1) / 2, each = pairs / tiles, more = pairs % tiles;
        auto first_of = [=](int64_t tile) { return std::min(2 * (tile * each + std::min(tile, more)), count); };
        auto & next   = *(std::atomic<int64_t> *) team.work;
        auto * quantized = (tokens *) ((char *) team.work + 64);
        if (team.member == 0) {
            next.store(0, std::memory_order_relaxed);
        }
        for (int64_t tile = 0, token = 0; tile < tiles; tile++) {
            for (int at = 0; token < first_of(tile + 1); token++, at++) {
                if (token % team.members == team.member) {
                    tokens::quantize(batch.from(batch.context, token), blocks, quantized + tile * blocks, at);
                }
            }
        }
        static thread_local std::vector<float *> places;
        places.resize(batch.tokens);
        float ** results = places.data();
        for (int64_t token = 0; token < batch.tokens; token++) {
            results[token] = batch.to(batch.context, token);
        }
        team.together();

        // Tokens in pieces that stay in a core's second cache, rows in pieces that the threads take in turn.
        constexpr size_t CACHE = 512 << 10;
        const int64_t groups   = groups_of(rows);
        const int64_t at_once  = std::clamp<int64_t>(CACHE / (blocks * sizeof(tokens)), 2, tiles);
        const int64_t share    = team.members == 1 ? groups : std::max<int64_t>(groups / (8 * team.members), 1);
        const int64_t shares   = (groups + share - 1) / share, pieces = (tiles + at_once - 1) / at_once;
        for (;;) {
            const int64_t item = next.fetch_add(1, std::memory_order_relaxed);
            if (item >= shares * pieces) {
                return;
            }
            const int64_t begin = item % shares * share, end = std::min(begin + share, groups);
            const int64_t piece = item / shares * at_once, upto = std::min(piece + at_once, tiles);
            for (int64_t group = begin; group < end; group++) {
                const auto *  w     = (const WEIGHTS *) weights + group * blocks;
                const int64_t some  = std::min<int64_t>(rows - group * LANES, LANES);
                for (int64_t tile = piece; tile < upto; tile++) {
                    const int64_t token = first_of(tile), size = first_of(tile + 1) - token;
                    alignas(64) float out[TILE][LANES];
                    tile_of.of[place_of((int) size)](blocks, w, quantized + tile * blocks, tile == piece, out);
                    for (int64_t r = 0; r < size; r++) {
                        float * to = results[token + r] + group * LANES;
                        if (some == LANES) {
                            store(to, load(out[r]));
                        } else {
                            memcpy(to, out[r], some * sizeof(float));
                        }
                    }
                }
            }
        }
    }
};

}  // namespace

const product * product_of(int32_t type, int64_t columns) {
    static const product_with<weights_q4_0> q4_0;
    static const product_with<weights_q4_1> q4_1;
    static const product_with<weights_q5_0> q5_0;
    static const product_with<weights_q5_1> q5_1;
    static const product_with<weights_q8_0> q8_0;
    static const product_with<weights_q4_K> q4_K;
    static const product_with<weights_q5_K> q5_K;
    static const product_with<weights_q6_K> q6_K;
    static const product_with<weights_iq4_nl> iq4_nl;
    if (columns % (type >= abi::Q4_K && type <= abi::Q6_K ? 256 : 32) != 0) {
        return nullptr;
    }
    switch (type) {
        case abi::Q4_0: return &q4_0;
        case abi::Q4_1: return &q4_1;
        case abi::Q5_0: return &q5_0;
        case abi::Q5_1: return &q5_1;
        case abi::Q8_0: return &q8_0;
        case abi::Q4_K: return &q4_K;
        case abi::Q5_K: return &q5_K;
        case abi::Q6_K: return &q6_K;
        case abi::IQ4_NL: return &iq4_nl;
        default:        return nullptr;
    }
}
