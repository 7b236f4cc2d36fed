// Exponentials and transposition: what attention needs beyond `lanes.h`.
#pragma once

#include <algorithm>

#include "lanes.h"

namespace {

// e^x for x <= 0, within two units in the last place; 0 where the result would be denormal.
ET_INLINE floats exponential(floats x) {
    // x = n * log(2) + r with |r| <= log(2) / 2; log(2) in two parts, of which the first has trailing zeros.
    constexpr float UPPER = 0.693359375f, LOWER = -2.12194440e-4f, LEAST = -87.3f;
#if defined(ET_AVX512)
    const __mmask16 some = _mm512_cmp_ps_mask(x, all(LEAST), _CMP_GE_OQ);
    const floats    n    = _mm512_roundscale_ps(multiply(x, all(1.44269504f)), _MM_FROUND_TO_NEAREST_INT);
#else
    const floats some = _mm256_cmp_ps(x, all(LEAST), _CMP_GE_OQ);
    const floats n    = _mm256_round_ps(multiply(x, all(1.44269504f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#endif
    const floats r = fnma(n, all(LOWER), fnma(n, all(UPPER), x));
    floats       p = all(1.0f / 5040);  // Taylor's series: its remainder is below the last place
    p = fma(p, r, all(1.0f / 720));
    p = fma(p, r, all(1.0f / 120));
    p = fma(p, r, all(1.0f / 24));
    p = fma(p, r, all(1.0f / 6));
    p = fma(p, r, all(0.5f));
    p = fma(p, r, all(1.0f));
    p = fma(p, r, all(1.0f));
#if defined(ET_AVX512)
    return _mm512_maskz_scalef_ps(some, p, n);
#else
    const ints power = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), all_ints(127)), 23);
    return _mm256_and_ps(some, multiply(p, _mm256_castsi256_ps(power)));
#endif
}

// Rows become columns.
#if defined(ET_AVX512)
ET_INLINE void transpose(floats (&rows)[16]) {
    floats t[16];
    for (int i = 0; i < 16; i += 2) {
        t[i]     = _mm512_unpacklo_ps(rows[i], rows[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(rows[i], rows[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        for (int j = 0; j < 2; j++) {
            const __m512d a = _mm512_castps_pd(t[i + j]), b = _mm512_castps_pd(t[i + j + 2]);
            rows[i + 2 * j]     = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
            rows[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
        }
    }
    for (int j = 0; j < 4; j++) {
        t[j]      = _mm512_shuffle_f32x4(rows[j], rows[j + 4], 0x88);
        t[j + 4]  = _mm512_shuffle_f32x4(rows[j], rows[j + 4], 0xDD);
        t[j + 8]  = _mm512_shuffle_f32x4(rows[j + 8], rows[j + 12], 0x88);
        t[j + 12] = _mm512_shuffle_f32x4(rows[j + 8], rows[j + 12], 0xDD);
    }
    for (int j = 0; j < 4; j++) {
        rows[j]      = _mm512_shuffle_f32x4(t[j], t[j + 8], 0x88);
        rows[j + 8]  = _mm512_shuffle_f32x4(t[j], t[j + 8], 0xDD);
        rows[j + 4]  = _mm512_shuffle_f32x4(t[j + 4], t[j + 12], 0x88);
        rows[j + 12] = _mm512_shuffle_f32x4(t[j + 4], t[j + 12], 0xDD);
    }
}
#else
ET_INLINE void transpose(floats (&rows)[8]) {
    floats t[8];
    for (int i = 0; i < 8; i += 2) {
        t[i]     = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        for (int j = 0; j < 2; j++) {
            const __m256d a = _mm256_castps_pd(t[i + j]), b = _mm256_castps_pd(t[i + j + 2]);
            rows[i + 2 * j]     = _mm256_castpd_ps(_mm256_unpacklo_pd(a, b));
            rows[i + 2 * j + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(a, b));
        }
    }
    for (int j = 0; j < 4; j++) {
        const floats a = rows[j], b = rows[j + 4];
        rows[j]     = _mm256_permute2f128_ps(a, b, 0x20);
        rows[j + 4] = _mm256_permute2f128_ps(a, b, 0x31);
    }
}
#endif

}  // namespace
