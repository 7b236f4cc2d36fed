// What a step's logits tell, in one go over each row: statistics, masses to draw from, sums of blocks.
//
// A row of 150,000 floats stays in the second-level cache between its two passes.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>

#include "float_math.h"

#define VISIBLE extern "C" __attribute__((visibility("default")))

namespace {

constexpr int   BLOCK     = 128;
constexpr int   TOP       = 20;      // tokens in DeepConf's token confidence
constexpr float RULED_OUT = -1e9f;   // what -inf becomes, since 0 x -inf would be NaN

// The largest values, rising; only blocks that may hold one of them are looked at.
int largest(const float * row, int64_t size, const float * most, int64_t blocks, float * scratch, float * found) {
    const int count = (int) std::min<int64_t>(TOP, size);
    float floor = -std::numeric_limits<float>::infinity();
    if (blocks > count) {
        std::copy(most, most + blocks, scratch);
        std::nth_element(scratch, scratch + count - 1, scratch + blocks, std::greater<float>());
        floor = scratch[count - 1];
    }
    int held = 0;  // `found` is a heap whose front is the smallest
    for (int64_t b = 0; b < blocks; b++) {
        if (most[b] < floor) {
            continue;
        }
        const int64_t end = std::min(size, (b + 1) * BLOCK);
        for (int64_t i = b * BLOCK; i < end; i++) {
            if (row[i] <= RULED_OUT || (held == count && row[i] <= found[0])) {
                continue;
            }
            if (held == count) {
                std::pop_heap(found, found + held--, std::greater<float>());
            }
            found[held++] = row[i];
            std::push_heap(found, found + held, std::greater<float>());
        }
    }
    std::sort(found, found + held);
    return held;
}

// `what` where x is greater than the bound, 0 elsewhere.
ET_INLINE floats where_greater(floats x, floats bound, floats what) {
#if defined(ET_AVX512)
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, bound, _CMP_GT_OQ), what);
#else
    return _mm256_and_ps(_mm256_cmp_ps(x, bound, _CMP_GT_OQ), what);
#endif
}

ET_INLINE floats minimum(floats a, floats b) {
#if defined(ET_AVX512)
    return _mm512_min_ps(a, b);
#else
    return _mm256_min_ps(a, b);
#endif
}

ET_INLINE float greatest_of(floats a) {
    float lanes[LANES];
    store(lanes, a);
    return *std::max_element(lanes, lanes + LANES);
}

struct sums {
    double total = 0, first = 0, second = 0, logits = 0, mass = 0;
    double allowed = 0;
};

// Adds up a row from `at` on, `count` values at most, and leaves the masses there. `blocks` and
// `cumulative` are those of the row. Sums of float32 lanes go on for FLUSH blocks.
constexpr int FLUSH = 8;

template <bool TEMPERED, bool MASKED>
void add_up(float * row, int64_t size, float top, float inverse, double * blocks, double * cumulative, sums & all_of) {
    const floats  least = all(RULED_OUT), one = all(1.0f);
    const int64_t count = (size + BLOCK - 1) / BLOCK;
    for (int64_t from = 0; from < count; from += FLUSH) {
        floats total = zero(), first = zero(), second = zero(), logits = zero(), allowed = zero();
        for (int64_t b = from; b < std::min(count, from + FLUSH); b++) {
            float         padded[BLOCK];
            float *       at  = row + b * BLOCK;
            const int64_t end = std::min<int64_t>(BLOCK, size - b * BLOCK);
            if (end < BLOCK) {  // the last one
                std::fill(std::copy(at, at + end, padded), padded + BLOCK, -std::numeric_limits<float>::infinity());
                at = padded;
            }
            floats mass = zero();
            for (int i = 0; i < BLOCK; i += LANES) {
                floats x = subtract(load(at + i), all(top));
                if (MASKED || end < BLOCK) {
                    x       = maximum(x, least);
                    logits  = add(logits, where_greater(x, least, x));
                    allowed = add(allowed, where_greater(x, least, one));
                } else {
                    logits = add(logits, x);
                }
                const floats e = exponential(x);
                const floats m = TEMPERED ? exponential(multiply(x, all(inverse))) : e;
                const floats t = multiply(e, x);
                total  = add(total, e);
                first  = add(first, t);
                second = fma(t, x, second);
                mass   = add(mass, m);
                store(at + i, m);
            }
            if (end < BLOCK) {
                std::copy(padded, padded + end, row + b * BLOCK);
            } else if (!MASKED) {
                all_of.allowed += BLOCK;
            }
            blocks[b] = sum_of(mass);
            all_of.mass += blocks[b];
            cumulative[b] = all_of.mass;
        }
        all_of.total += sum_of(total);
        all_of.first += sum_of(first);
        all_of.second += sum_of(second);
        all_of.logits += sum_of(logits);
        all_of.allowed += sum_of(allowed);
    }
}

// Whether the row can be used: no NaN, no +inf, and some token allowed.
bool analyse(float * row, int64_t size, float temperature, double * statistics, double * blocks, double * cumulative,
             float * scratch) {
    const int64_t count = (size + BLOCK - 1) / BLOCK;
    float * most = scratch, * work = scratch + count;
    float   top  = -std::numeric_limits<float>::infinity();
    floats  least = zero();
    for (int64_t b = 0; b < count; b++) {
        const float * at = row + b * BLOCK;
        float         own = -std::numeric_limits<float>::infinity();
        if (size - b * BLOCK >= BLOCK) {
            floats greatest = load(at);
            for (int i = 0; i < BLOCK; i += LANES) {
                greatest = maximum(greatest, load(at + i));
                least    = minimum(least, load(at + i));
            }
            own = greatest_of(greatest);
        } else {
            for (int64_t i = 0; i < size - b * BLOCK; i++) {
                own = std::max(own, at[i]);
            }
        }
        most[b] = own;
        top     = std::max(top, own);
    }
    if (!std::isfinite(top)) {
        statistics[0] = top;
        return false;
    }
    const bool masked = std::isinf(-greatest_of(subtract(zero(), least)));
    float     found[TOP];
    const int held = largest(row, size, most, count, work, found);
    const float inverse = 1.0f / temperature;
    sums all_of;
    const auto add_row = temperature == 1.0f ? (masked ? add_up<false, true> : add_up<false, false>)
                                             : (masked ? add_up<true, true> : add_up<true, false>);
    add_row(row, size, top, inverse, blocks, cumulative, all_of);
    if (std::isnan(all_of.first)) {  // 0 x NaN: exponentials clear it
        statistics[0] = all_of.first;
        return false;
    }
    const double mean = all_of.first / all_of.total, log_total = std::log(all_of.total);
    double       confidence = 0;
    for (int i = 0; i < held; i++) {
        confidence += (double) found[i] - top;
    }
    const double runner_up = held > 1 ? std::exp((double) found[held - 2] - top) : 0.0;
    // max() clears the rounding of float32 sums: a certain token has entropy 0, not -1e-8.
    statistics[0] = std::max(0.0, log_total - mean);
    statistics[1] = std::max(0.0, all_of.second / all_of.total - mean * mean);
    statistics[2] = std::max(0.0, log_total - all_of.logits / all_of.allowed - std::log(all_of.allowed));
    statistics[3] = log_total - confidence / held;
    statistics[4] = (1.0 - runner_up) / all_of.total;
    statistics[5] = log_total;
    return true;
}

}  // namespace

// Analyses rows of logits [rows][size] in place: they become masses at each row's temperature, the largest 1.
//
// `statistics` [rows][6]: entropy, varentropy, certainty, confidence, lead, log of the total at temperature 1.
// `blocks` and `cumulative` [rows][blocks of 128]: sums of masses, and the running ones. `scratch` has room for
// two floats a block and row. Returns the first row that cannot be used, or -1; its statistics hold its largest
// logit then, NaN if there is one.
VISIBLE int64_t et_step_analyse(float * logits, int64_t rows, int64_t size, const float * temperatures, double * statistics,
                                double * blocks, double * cumulative, float * scratch, int threads) {
    const int64_t count = (size + BLOCK - 1) / BLOCK;
    int64_t       bad   = rows;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1) reduction(min : bad) if (rows > 1 && threads > 1)
    for (int64_t r = 0; r < rows; r++) {
        if (!analyse(logits + r * size, size, temperatures[r], statistics + 6 * r, blocks + r * count, cumulative + r * count,
                     scratch + 2 * r * count)) {
            bad = std::min(bad, r);
        }
    }
    return bad == rows ? -1 : bad;
}

// The token whose interval of the cumulative masses holds `target`.
VISIBLE int64_t et_step_find(const float * masses, int64_t size, const double * blocks, const double * cumulative, double target) {
    const int64_t count = (size + BLOCK - 1) / BLOCK;
    const int64_t block = std::min<int64_t>(std::upper_bound(cumulative, cumulative + count, target) - cumulative, count - 1);
    const float * at    = masses + block * BLOCK;
    const int     end   = (int) std::min<int64_t>(BLOCK, size - block * BLOCK);
    double inner = 0;
    for (int i = 0; i < end; i++) {
        inner += at[i];
    }
    // The block's sum is of float32 sums, the inner one of float64: put both on one scale. A target on the
    // block's edge may lie a rounding error before it.
    const double within = std::max(0.0, target - (cumulative[block] - blocks[block])) * inner / std::max(blocks[block], 1e-300);
    int64_t last = -1;
    double  sum  = 0;
    for (int i = 0; i < end; i++) {
        sum += at[i];
        if (at[i] > 0.0f) {
            last = block * BLOCK + i;
            if (sum > within) {
                return last;
            }
        }
    }
    return last >= 0 ? last : std::max_element(masses, masses + size) - masses;
}
