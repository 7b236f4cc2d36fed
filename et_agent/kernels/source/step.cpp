// What a step's logits tell, in one go over each row: statistics, masses to draw from, sums of blocks.
//
// A row of 150,000 floats stays in the second-level cache between its two passes.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <numeric>
#include <vector>

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

constexpr float LOG2_E = 1.44269504f;

// 2^(x * by) for products <= 0; 0 where the result would be denormal. A third faster than `exponential`.
//
// Within two units in the last place, and what rounding `by` does to the product, which is less than what rounding x
// did. 1 for 0.
ET_INLINE floats power_of_two(floats x, floats by) {
    constexpr float LEAST = -126.0f;
    // x * by = n + f with |f| <= 1/2
    const floats product = multiply(x, by);
#if defined(ET_AVX512)
    const __mmask16 some = _mm512_cmp_ps_mask(product, all(LEAST), _CMP_GE_OQ);
    const floats    n    = _mm512_roundscale_ps(product, _MM_FROUND_TO_NEAREST_INT);
#else
    const floats some = _mm256_cmp_ps(product, all(LEAST), _CMP_GE_OQ);
    const floats n    = _mm256_round_ps(product, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#endif
    const floats f = fms(x, by, n);
    floats       p = all(0.001326472731f);  // of all 1 + f * q(f) of this degree the one whose error is least, 9.1e-8
    p = fma(p, f, all(0.009671512991f));
    p = fma(p, f, all(0.05550733581f));
    p = fma(p, f, all(0.2402224243f));
    p = fma(p, f, all(0.6931470037f));
    p = fma(p, f, all(1.0f));
#if defined(ET_AVX512)
    return _mm512_maskz_scalef_ps(some, p, n);
#else
    const ints power = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), all_ints(127)), 23);
    return _mm256_and_ps(some, multiply(p, _mm256_castsi256_ps(power)));
#endif
}

struct sums {
    double total = 0, first = 0, second = 0, logits = 0, mass = 0;
    double allowed = 0;
};

// Adds up a row from `at` on, `count` values at most, and leaves the masses there. `blocks` and
// `cumulative` are those of the row. Sums of float32 lanes go on for FLUSH blocks.
constexpr int FLUSH = 8;

template <bool TEMPERED, bool MASKED>
void add_up(float * row, int64_t size, float top, float scale, double * blocks, double * cumulative, sums & all_of) {
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
                const floats e = power_of_two(x, all(LOG2_E));
                const floats m = TEMPERED ? power_of_two(x, all(scale)) : e;
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
    const float scale = LOG2_E / temperature;
    sums all_of;
    const auto add_row = temperature == 1.0f ? (masked ? add_up<false, true> : add_up<false, false>)
                                             : (masked ? add_up<true, true> : add_up<true, false>);
    add_row(row, size, top, scale, blocks, cumulative, all_of);
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

// The token of a block, the sum of whose masses is `sum`, whose interval holds `target`; -1 if none has any mass.
static int64_t find_in(const float * masses, int64_t size, int64_t block, double sum, double target) {
    const float * at  = masses + block * BLOCK;
    const int     end = (int) std::min<int64_t>(BLOCK, size - block * BLOCK);
    double inner = 0;
    for (int i = 0; i < end; i++) {
        inner += at[i];
    }
    // The block's sum is of float32 sums, the inner one of float64: put both on one scale. A target on the
    // block's edge may lie a rounding error before it.
    const double within = std::max(0.0, target) * inner / std::max(sum, 1e-300);
    int64_t last = -1;
    double  so_far = 0;
    for (int i = 0; i < end; i++) {
        so_far += at[i];
        if (at[i] > 0.0f) {
            last = block * BLOCK + i;
            if (so_far > within) {
                return last;
            }
        }
    }
    return last;
}

// The token of a row whose interval of the cumulative masses holds `target`.
VISIBLE int64_t et_step_find(const float * masses, int64_t size, const double * blocks, const double * cumulative, int64_t row,
                             double target) {
    const int64_t count = (size + BLOCK - 1) / BLOCK;
    masses += row * size;
    blocks += row * count;
    cumulative += row * count;
    const int64_t block = std::min<int64_t>(std::upper_bound(cumulative, cumulative + count, target) - cumulative, count - 1);
    const int64_t found = find_in(masses, size, block, blocks[block], target - (cumulative[block] - blocks[block]));
    return found >= 0 ? found : std::max_element(masses, masses + size) - masses;
}

// The token of a row that is found with the part `u` of all masses if those of some tokens are left out; -1 if none is left.
// Theirs are back at the end.
VISIBLE int64_t et_step_find_without(float * masses, int64_t size, double * blocks, int64_t row, double u, const int64_t * tokens,
                                     int64_t without) {
    const int64_t count = (size + BLOCK - 1) / BLOCK;
    masses += row * size;
    blocks += row * count;
    std::vector<float>  hidden;
    std::vector<double> sums;
    for (int64_t i = 0; i < without; i++) {
        hidden.push_back(masses[tokens[i]]);
        sums.push_back(blocks[tokens[i] / BLOCK]);
        masses[tokens[i]] = 0.0f;
    }
    for (int64_t i = 0; i < without; i++) {
        const int64_t block = tokens[i] / BLOCK;
        blocks[block] = std::accumulate(masses + block * BLOCK, masses + std::min(size, (block + 1) * BLOCK), 0.0);
    }
    const double rest = std::accumulate(blocks, blocks + count, 0.0), target = u * rest;
    int64_t block = -1;  // where rounding has taken the target past all of them, the last one with any mass
    double  before = 0, so_far = 0;
    for (int64_t b = 0; b < count && so_far <= target; b++) {
        if (blocks[b] > 0) {
            block  = b;
            before = so_far;
            so_far += blocks[b];
        }
    }
    const int64_t found = block < 0 ? -1 : find_in(masses, size, block, blocks[block], target - before);
    for (int64_t i = without - 1; i >= 0; i--) {
        masses[tokens[i]] = hidden[i];
        blocks[tokens[i] / BLOCK] = sums[i];
    }
    return found;
}
