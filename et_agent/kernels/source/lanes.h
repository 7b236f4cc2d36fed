// Vectors of as many lanes as the instruction set has: the rest of the kernels is written once.
//
// Flags for the three instruction sets (GCC and Clang), after
//     c++ -std=c++17 -O3 -fPIC -shared -fvisibility=hidden -pthread -mavx2 -mfma -mf16c -mbmi2
// avx512-vnni:  -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni
// avx-vnni:     -mavxvnni
// avx2:         none
// -DET_KERNELS_EVEX instead of -mavxvnni has the assembler encode that set's instruction for CPUs that
// have AVX512-VNNI with 256 bits but not AVX-VNNI: for tests only.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#if defined(__AVX512VNNI__) && defined(__AVX512F__) && defined(__AVX512BW__)
#define ET_AVX512 1
#elif !defined(__AVX2__) || !defined(__FMA__) || !defined(__F16C__)
#error "these kernels need a CPU with AVX2, FMA and F16C"
#endif

#define ET_INLINE inline __attribute__((always_inline))
#define ET_LAMBDA __attribute__((always_inline))

namespace {

// Calls `what` with constants 0 to COUNT - 1: they may be operands of instructions, and arrays that they are places in
// stay in registers, which those that a loop runs through do not with GCC.
template <typename WHAT, int... AT> ET_INLINE void each_of(WHAT && what, std::integer_sequence<int, AT...>) {
    (what(std::integral_constant<int, AT>()), ...);
}

template <int COUNT, typename WHAT> ET_INLINE void each(WHAT && what) {
    each_of(what, std::make_integer_sequence<int, COUNT>());
}

#if defined(ET_AVX512)

constexpr int LANES = 16;
constexpr int TILE  = 12;  // tokens that share a register of weights: sums and totals fill the registers
using floats = __m512;
using ints   = __m512i;

ET_INLINE ints   load_ints(const void * from) { return _mm512_loadu_si512(from); }
ET_INLINE ints   all_bytes(int8_t one) { return _mm512_set1_epi8(one); }
ET_INLINE ints   all_ints(int32_t one) { return _mm512_set1_epi32(one); }
ET_INLINE ints   zero_ints() { return _mm512_setzero_si512(); }
ET_INLINE floats all(float one) { return _mm512_set1_ps(one); }
ET_INLINE floats zero() { return _mm512_setzero_ps(); }
ET_INLINE floats load(const float * from) { return _mm512_loadu_ps(from); }
ET_INLINE void   store(float * to, floats from) { _mm512_storeu_ps(to, from); }
ET_INLINE floats add(floats a, floats b) { return _mm512_add_ps(a, b); }
ET_INLINE floats subtract(floats a, floats b) { return _mm512_sub_ps(a, b); }
ET_INLINE floats multiply(floats a, floats b) { return _mm512_mul_ps(a, b); }
ET_INLINE floats fma(floats a, floats b, floats c) { return _mm512_fmadd_ps(a, b, c); }
ET_INLINE floats fms(floats a, floats b, floats c) { return _mm512_fmsub_ps(a, b, c); }
ET_INLINE floats fnma(floats a, floats b, floats c) { return _mm512_fnmadd_ps(a, b, c); }
ET_INLINE floats maximum(floats a, floats b) { return _mm512_max_ps(a, b); }
ET_INLINE float  sum_of(floats a) { return _mm512_reduce_add_ps(a); }
ET_INLINE float  max_of(floats a) { return _mm512_reduce_max_ps(a); }
ET_INLINE floats to_floats(ints a) { return _mm512_cvtepi32_ps(a); }
ET_INLINE ints   bits_and(ints a, ints b) { return _mm512_and_si512(a, b); }
ET_INLINE ints   masked_or(ints a, ints mask, ints b) { return _mm512_ternarylogic_epi32(a, mask, b, 0xEA); }
template <int BY> ET_INLINE ints left16(ints a) { return _mm512_slli_epi16(a, BY); }
template <int BY> ET_INLINE ints right16(ints a) { return _mm512_srli_epi16(a, BY); }

ET_INLINE ints look_up(__m128i table, ints at) { return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), at); }
ET_INLINE floats f16(const uint16_t * from) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *) from)); }
ET_INLINE floats bf16(const uint16_t * from) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *) from)), 16));
}
ET_INLINE floats bytes(const uint8_t * from) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *) from)));
}
ET_INLINE floats bytes(const int8_t * from) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *) from)));
}

#else

constexpr int LANES = 8;
constexpr int TILE  = 8;
using floats = __m256;
using ints   = __m256i;

ET_INLINE ints   load_ints(const void * from) { return _mm256_loadu_si256((const __m256i *) from); }
ET_INLINE ints   all_bytes(int8_t one) { return _mm256_set1_epi8(one); }
ET_INLINE ints   all_ints(int32_t one) { return _mm256_set1_epi32(one); }
ET_INLINE ints   zero_ints() { return _mm256_setzero_si256(); }
ET_INLINE floats all(float one) { return _mm256_set1_ps(one); }
ET_INLINE floats zero() { return _mm256_setzero_ps(); }
ET_INLINE floats load(const float * from) { return _mm256_loadu_ps(from); }
ET_INLINE void   store(float * to, floats from) { _mm256_storeu_ps(to, from); }
ET_INLINE floats add(floats a, floats b) { return _mm256_add_ps(a, b); }
ET_INLINE floats subtract(floats a, floats b) { return _mm256_sub_ps(a, b); }
ET_INLINE floats multiply(floats a, floats b) { return _mm256_mul_ps(a, b); }
ET_INLINE floats fma(floats a, floats b, floats c) { return _mm256_fmadd_ps(a, b, c); }
ET_INLINE floats fms(floats a, floats b, floats c) { return _mm256_fmsub_ps(a, b, c); }
ET_INLINE floats fnma(floats a, floats b, floats c) { return _mm256_fnmadd_ps(a, b, c); }
ET_INLINE floats maximum(floats a, floats b) { return _mm256_max_ps(a, b); }
ET_INLINE float  sum_of(floats a) {
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    four        = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}
ET_INLINE float max_of(floats a) {
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    four        = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}
ET_INLINE floats to_floats(ints a) { return _mm256_cvtepi32_ps(a); }
ET_INLINE ints   bits_and(ints a, ints b) { return _mm256_and_si256(a, b); }
ET_INLINE ints   masked_or(ints a, ints mask, ints b) { return _mm256_or_si256(_mm256_and_si256(a, mask), b); }
template <int BY> ET_INLINE ints left16(ints a) { return _mm256_slli_epi16(a, BY); }
template <int BY> ET_INLINE ints right16(ints a) { return _mm256_srli_epi16(a, BY); }

ET_INLINE ints look_up(__m128i table, ints at) { return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), at); }
ET_INLINE floats f16(const uint16_t * from) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) from)); }
ET_INLINE floats bf16(const uint16_t * from) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *) from)), 16));
}
ET_INLINE floats bytes(const uint8_t * from) {
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *) from)));
}
ET_INLINE floats bytes(const int8_t * from) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *) from)));
}

#endif

// Sums of products of four weights (of BITS bits, unsigned) and four values of a token (signed) in each lane.
#if defined(ET_AVX512) || defined(__AVXVNNI__) || defined(ET_KERNELS_EVEX)

constexpr bool SIGNED_BYTES = false;

template <int BITS> struct sums_of {
    ints total;

    ET_INLINE void start(int32_t with) { total = all_ints(with); }

    // Written out, since compilers take the four values through a general register and a shuffle.
    ET_INLINE void dot(ints weights, const int32_t & four) {
#if defined(ET_AVX512)
        __asm__("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(total) : "v"(weights), "m"(four));
#else
        const ints values = _mm256_castps_si256(_mm256_broadcast_ss((const float *) &four));
#if defined(ET_KERNELS_EVEX)
        __asm__("%{evex%} vpdpbusd %2, %1, %0" : "+x"(total) : "x"(weights), "x"(values));
#else
        total = _mm256_dpbusd_avx_epi32(total, weights, values);
#endif
#endif
    }

    template <int DONE> ET_INLINE void widen() {}
    ET_INLINE ints result() const { return total; }
};

#else

// AVX2 adds pairs in 16 bits, which saturate. Weights of 8 bits are signed here: their absolute values times
// values of a token that take over the signs stay within 127 * 127 * 2.
constexpr bool SIGNED_BYTES = true;

template <int BITS> struct sums_of {
    static constexpr int MOST = BITS == 4 ? 8 : BITS == 5 ? 4 : BITS == 6 ? 2 : 1;  // that 16 bits hold
    static_assert(BITS == 8 || ((1 << BITS) - 1) * 127 * 2 * MOST <= 32767, "16 bits must hold the sums");

    ints total, pairs;

    ET_INLINE void start(int32_t with) {
        total = all_ints(with);
        pairs = zero_ints();
    }

    ET_INLINE void dot(ints weights, const int32_t & four) {
        ints values = _mm256_castps_si256(_mm256_broadcast_ss((const float *) &four));
        if constexpr (BITS == 8) {
            values = _mm256_sign_epi8(values, weights);
            pairs  = _mm256_maddubs_epi16(_mm256_abs_epi8(weights), values);
        } else {
            pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16(weights, values));
            __asm__("" : "+x"(pairs));  // or all products are kept in memory, to be added as a tree
        }
    }

    // After DONE dots.
    template <int DONE> ET_INLINE void widen() {
        if constexpr (DONE % MOST == 0) {
            total = _mm256_add_epi32(total, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
            __asm__("" : "+x"(total));
            pairs = zero_ints();
        }
    }

    ET_INLINE ints result() const { return total; }
};

#endif

ET_INLINE float f16_value(uint16_t half) { return _cvtsh_ss(half); }

}  // namespace
