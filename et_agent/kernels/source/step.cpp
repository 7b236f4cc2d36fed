// What a step's logits tell, in one go over each row: statistics, masses to draw from, sums of blocks.
//
// A row of 150,000 floats stays in the second-level cache between its two passes. Loops are plain and
// left to the compiler to vectorize, so that they are the same for every instruction set.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>

#define VISIBLE extern "C" __attribute__((visibility("default")))

namespace {

constexpr int   BLOCK     = 128;
constexpr int   TOP       = 20;      // tokens in DeepConf's token confidence
constexpr float RULED_OUT = -1e9f;   // what -inf becomes, since 0 x -inf would be NaN

// e^x for x <= 0, as good as float32 gets it (2 ulp); 0 where that is no normal number. Ranges as in
// Cephes' expf: x = n ln 2 + r with |r| <= ln 2 / 2, and a polynomial of r.
inline float exp_of(float x) {
    const float kept = std::max(x, -87.0f);
    // Adding this rounds to an integer, which then stands in the low bits.
    constexpr float MAGIC = 12582912.0f;
    const float shifted = kept * 1.44269504f + MAGIC;
    const float n = shifted - MAGIC;
    const float r = (kept - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    int32_t bits;
    memcpy(&bits, &shifted, sizeof(bits));
    bits = (int32_t) ((uint32_t) bits << 23) + 0x3F800000;  // the magic number's own bits are shifted out
    float power;
    memcpy(&power, &bits, sizeof(power));
    return x < -87.0f ? 0.0f : p * power;
}

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

struct Sums {
    double total = 0, first = 0, second = 0, logits = 0, mass = 0;
    int64_t allowed = 0;
};

template <bool TEMPERED> void block_of(float * row, int count, float top, float inverse, Sums & sums, double & mass) {
    float total = 0, first = 0, second = 0, logits = 0, own = 0;
    int   allowed = 0;
#pragma omp simd reduction(+ : total, first, second, logits, own, allowed)
    for (int i = 0; i < count; i++) {
        const float x = std::max(row[i] - top, RULED_OUT);
        const float e = exp_of(x);
        const float m = TEMPERED ? exp_of(x * inverse) : e;
        const int   in = x > RULED_OUT;
        total += e;
        first += e * x;
        second += e * x * x;
        logits += in ? x : 0.0f;
        allowed += in;
        own += m;
        row[i] = m;
    }
    sums.total += total;
    sums.first += first;
    sums.second += second;
    sums.logits += logits;
    sums.allowed += allowed;
    sums.mass += own;
    mass = own;
}

// Whether the row can be used: no NaN, no +inf, and some token allowed.
bool analyse(float * row, int64_t size, float temperature, double * statistics, double * blocks, double * cumulative,
             float * scratch) {
    const int64_t count = (size + BLOCK - 1) / BLOCK;
    float * most = scratch, * work = scratch + count;
    float   top  = -std::numeric_limits<float>::infinity();
    int     odd  = 0;
    for (int64_t b = 0; b < count; b++) {
        const float * at  = row + b * BLOCK;
        const int     end = (int) std::min<int64_t>(BLOCK, size - b * BLOCK);
        float own = -std::numeric_limits<float>::infinity();
#pragma omp simd reduction(max : own) reduction(+ : odd)
        for (int i = 0; i < end; i++) {
            own = std::max(own, at[i]);
            odd += at[i] != at[i];
        }
        most[b] = own;
        top     = std::max(top, own);
    }
    if (odd != 0 || !std::isfinite(top)) {
        statistics[0] = odd != 0 ? std::numeric_limits<double>::quiet_NaN() : top;
        return false;
    }
    float     found[TOP];
    const int held = largest(row, size, most, count, work, found);
    const float inverse = 1.0f / temperature;
    Sums sums;
    for (int64_t b = 0; b < count; b++) {
        const int end = (int) std::min<int64_t>(BLOCK, size - b * BLOCK);
        if (temperature == 1.0f) {
            block_of<false>(row + b * BLOCK, end, top, inverse, sums, blocks[b]);
        } else {
            block_of<true>(row + b * BLOCK, end, top, inverse, sums, blocks[b]);
        }
        cumulative[b] = sums.mass;
    }
    const double mean = sums.first / sums.total, log_total = std::log(sums.total);
    double       confidence = 0;
    for (int i = 0; i < held; i++) {
        confidence += (double) found[i] - top;
    }
    const double runner_up = held > 1 ? std::exp((double) found[held - 2] - top) : 0.0;
    // max() clears the rounding of float32 sums: a certain token has entropy 0, not -1e-8.
    statistics[0] = std::max(0.0, log_total - mean);
    statistics[1] = std::max(0.0, sums.second / sums.total - mean * mean);
    statistics[2] = std::max(0.0, log_total - sums.logits / sums.allowed - std::log((double) sums.allowed));
    statistics[3] = log_total - confidence / held;
    statistics[4] = (1.0 - runner_up) / sums.total;
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
