// A batch's values, quantized to 8 bits as llama.cpp does it (Q8_0, Q8_K), with the tokens of a tile interleaved
// by four columns so that a dot product reads four values of a token as one broadcast from memory.
#pragma once

#include "lanes.h"

namespace {

// Rounds 32 values times `scale`, and gives the sums of each four.
ET_INLINE __m256i quantize_32(const float * x, float scale, int32_t * to, int stride) {
    const __m256 by = _mm256_set1_ps(scale);
    __m256i      part[4];
    for (int i = 0; i < 4; i++) {
        part[i] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8 * i), by));
    }
    const __m256i low = _mm256_packs_epi32(part[0], part[1]), high = _mm256_packs_epi32(part[2], part[3]);
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);  // packing works within 128 bits
    const __m256i all32 = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), order);
    alignas(32) int32_t four[8];
    _mm256_store_si256((__m256i *) four, all32);
    for (int j = 0; j < 8; j++) {
        to[j * stride] = four[j];
    }
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), all32);
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

ET_INLINE float largest(const float * x, int count) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    __m256       most = _mm256_setzero_ps();
    for (int i = 0; i < count; i += 8) {
        most = _mm256_max_ps(_mm256_andnot_ps(sign, _mm256_loadu_ps(x + i)), most);
    }
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(most), _mm256_extractf128_ps(most, 1));
    four        = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}

ET_INLINE int32_t sum_of_four(__m128i a) {
    a = _mm_add_epi32(a, _mm_shuffle_epi32(a, 0x4E));
    return _mm_cvtsi128_si32(_mm_add_epi32(a, _mm_shuffle_epi32(a, 0xB1)));
}

// Blocks with nothing larger count as zeros, so that ratios of scales stay finite.
constexpr float SMALLEST = 1e-30f;

// 32 columns of a tile. SHIFT is what was added to the weights to make them unsigned.
template <int SHIFT> struct tokens_32 {
    static constexpr int WIDTH = 32;

    float d[TILE];
    std::conditional_t<SHIFT == 0, float, int32_t> sums[TILE];  // times d, or times -SHIFT if there is one
    int32_t qs[8][TILE];

    static void quantize(const float * x, int64_t blocks, tokens_32 * to, int at) {
        for (int64_t b = 0; b < blocks; b++, x += WIDTH, to++) {
            const float   most = largest(x, WIDTH);
            const __m256i sums = quantize_32(x, most > SMALLEST ? 127.0f / most : 0.0f, &to->qs[0][at], TILE);
            const int32_t sum  = sum_of_four(_mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1)));
            to->d[at]          = most / 127.0f;
            if constexpr (SHIFT == 0) {
                to->sums[at] = (float) sum * to->d[at];
            } else {
                to->sums[at] = -SHIFT * sum;
            }
        }
    }
};

// 256 columns of a tile. Totals are kept in units of the current block's scale.
template <int SHIFT> struct tokens_256 {
    static constexpr int WIDTH = 256;
    static constexpr int PARTS = SHIFT == 0 ? 8 : 16;

    float d[TILE];
    float ratio[TILE];  // of the scale of the block before to this one's
    std::conditional_t<SHIFT == 0, float, int32_t> sums[PARTS][TILE];  // times -SHIFT, if there is one
    int32_t qs[64][TILE];

    static void quantize(const float * x, int64_t blocks, tokens_256 * to, int at) {
        float before = 0.0f;
        for (int64_t b = 0; b < blocks; b++, x += WIDTH, to++) {
            const float most = largest(x, WIDTH), scale = most > SMALLEST ? 127.0f / most : 0.0f;
            for (int i = 0; i < 8; i++) {
                const __m256i sums = quantize_32(x + 32 * i, scale, &to->qs[8 * i][at], TILE);
                const int32_t low = sum_of_four(_mm256_castsi256_si128(sums));
                const int32_t high = sum_of_four(_mm256_extracti128_si256(sums, 1));
                if constexpr (SHIFT == 0) {
                    to->sums[i][at] = (float) (low + high);
                } else {
                    to->sums[2 * i][at]     = -SHIFT * low;
                    to->sums[2 * i + 1][at] = -SHIFT * high;
                }
            }
            // A block of zeros has no scale of its own.
            const float d = most > SMALLEST ? most / 127.0f : before != 0.0f ? before : 1.0f;
            to->d[at]     = d;
            to->ratio[at] = before != 0.0f ? before / d : 1.0f;
            before        = d;
        }
    }
};

}  // namespace
