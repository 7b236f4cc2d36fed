// Quantized weights, repacked: LANES rows are interleaved by four columns, so that one register holds four
// columns of each row. They keep the bits they have in the file, so that they take no more memory.
#pragma once

#include "abi.h"
#include "tokens.h"

namespace {

ET_INLINE uint32_t four_of(const void * from) {
    uint32_t four;
    memcpy(&four, from, sizeof(four));
    return four;
}

ET_INLINE void put_four(void * to, uint32_t four) { memcpy(to, &four, sizeof(four)); }

// BITS bits of COLUMNS columns of LANES rows.
template <int BITS, int COLUMNS> struct codes {
    static constexpr int QUADS = COLUMNS / 4, LINE = 4 * LANES;
    static constexpr int HIGH = BITS - 4, SHARE = HIGH == 0 ? QUADS : 8 / HIGH;  // registers that share high bits
    static constexpr uint32_t HIGHEST = ((1 << HIGH) - 1) * 0x01010101u;

    uint8_t low[QUADS / 2][LINE];
    uint8_t high[HIGH == 0 ? 0 : QUADS / SHARE][LINE];

    // A byte each for four columns of a row.
    void put(int quad, int row, uint32_t four) {
        add(low[quad / 2] + 4 * row, (four & 0x0F0F0F0F) << 4 * (quad % 2));
        if constexpr (HIGH > 0) {
            add(high[quad / SHARE] + 4 * row, (four >> 4 & HIGHEST) << HIGH * (quad % SHARE));
        }
    }

    static void add(uint8_t * to, uint32_t bits) { put_four(to, four_of(to) | bits); }

    template <int QUAD> ET_INLINE ints get() const {
        ints two = load_ints(low[QUAD / 2]);
        if constexpr (QUAD % 2 == 1) {
            two = right16<4>(two);
        }
        const ints four = bits_and(two, all_bytes(15));
        if constexpr (HIGH == 0) {
            return four;
        } else {
            constexpr int at   = HIGH * (QUAD % SHARE);  // of the bits; they belong at 4
            const ints    more = load_ints(high[QUAD / SHARE]), mask = all_bytes(((1 << HIGH) - 1) << 4);
            if constexpr (at < 4) {
                return masked_or(left16<4 - at>(more), mask, four);
            } else {
                return masked_or(right16<at - 4>(more), mask, four);
            }
        }
    }
};

template <int COLUMNS> struct codes<8, COLUMNS> {
    uint8_t all[COLUMNS / 4][4 * LANES];

    void put(int quad, int row, uint32_t four) { put_four(all[quad] + 4 * row, four); }
    template <int QUAD> ET_INLINE ints get() const { return load_ints(all[QUAD]); }
};

constexpr int SHIFT_8 = SIGNED_BYTES ? 0 : 128;  // of weights of eight bits

// Four bits that stand for values in a table.
struct codes_iq4_nl : codes<4, 32> {
    template <int QUAD> ET_INLINE ints get() const {
        const __m128i values = _mm_setr_epi8(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
        const __m128i shift  = _mm_set1_epi8((char) SHIFT_8);
        return look_up(_mm_add_epi8(values, shift), codes<4, 32>::get<QUAD>());
    }
};

// Sums of COLUMNS columns for R tokens.
template <int COLUMNS, int BITS, typename CODES, int R>
ET_INLINE void dots(const CODES & weights, const int32_t (*tokens)[TILE], sums_of<BITS> (&sums)[R]) {
    each<COLUMNS / 4>([&](auto quad) ET_LAMBDA {
        const ints four = weights.template get<quad>();
        for (int r = 0; r < R; r++) {
            sums[r].dot(four, tokens[quad][r]);
        }
        for (int r = 0; r < R; r++) {
            sums[r].template widen<quad + 1>();
        }
    });
}

// Blocks of 32 columns with one scale.
template <int BITS, int SHIFT, typename CODES = codes<BITS, 32>> struct weights_32 {
    using tokens = tokens_32<SHIFT>;

    uint16_t d[LANES];
    CODES    q;

    template <int R> ET_INLINE void add_to(floats (&total)[R], const tokens & a) const {
        sums_of<BITS> sums[R];
        each<R>([&](auto r) ET_LAMBDA {
            if constexpr (SHIFT == 0) {
                sums[r].start(0);
            } else {
                sums[r].start(a.sums[r]);
            }
        });
        dots<32>(q, a.qs, sums);
        const floats scale = f16(d);
        each<R>([&](auto r) ET_LAMBDA {
            total[r] = fma(to_floats(sums[r].result()), multiply(scale, all(a.d[r])), total[r]);
        });
    }

    template <int R> ET_INLINE static void finish(floats (&)[R], const tokens &) {}
};

// The same with a minimum.
template <int BITS> struct weights_32_min : weights_32<BITS, 0> {
    using base   = weights_32<BITS, 0>;
    using tokens = typename base::tokens;

    uint16_t m[LANES];

    template <int R> ET_INLINE void add_to(floats (&total)[R], const tokens & a) const {
        base::add_to(total, a);
        const floats least = f16(m);
        each<R>([&](auto r) ET_LAMBDA {
            total[r] = fma(least, all(a.sums[r]), total[r]);
        });
    }
};

// A block has columns 0 to 15 in the lower four bits of its bytes, and 16 to 31 in the upper ones.
template <typename CODES> void put_low(CODES & q, const uint8_t (&qs)[16], int row) {
    for (int j = 0; j < 4; j++) {
        q.put(j, row, four_of(qs + 4 * j) & 0x0F0F0F0F);
        q.put(j + 4, row, four_of(qs + 4 * j) >> 4 & 0x0F0F0F0F);
    }
}

template <typename CODES> void put_high(CODES & q, const uint8_t (&qh)[4], int row) {
    for (int j = 0; j < 8; j++) {
        q.put(j, row, _pdep_u32(four_of(qh) >> 4 * j, 0x10101010));
    }
}

struct weights_q4_0 : weights_32<4, 8> {
    using block = abi::block_q4_0;

    void put(const block & from, int row) {
        d[row] = from.d;
        put_low(q, from.qs, row);
    }
};

struct weights_q4_1 : weights_32_min<4> {
    using block = abi::block_q4_1;

    void put(const block & from, int row) {
        d[row] = from.d;
        m[row] = from.m;
        put_low(q, from.qs, row);
    }
};

struct weights_q5_0 : weights_32<5, 16> {
    using block = abi::block_q5_0;

    void put(const block & from, int row) {
        d[row] = from.d;
        put_low(q, from.qs, row);
        put_high(q, from.qh, row);
    }
};

struct weights_q5_1 : weights_32_min<5> {
    using block = abi::block_q5_1;

    void put(const block & from, int row) {
        d[row] = from.d;
        m[row] = from.m;
        put_low(q, from.qs, row);
        put_high(q, from.qh, row);
    }
};

struct weights_iq4_nl : weights_32<8, SHIFT_8, codes_iq4_nl> {
    using block = abi::block_iq4_nl;

    void put(const block & from, int row) {
        d[row] = from.d;
        put_low(q, from.qs, row);
    }
};

struct weights_q8_0 : weights_32<8, SHIFT_8> {
    using block = abi::block_q8_0;

    void put(const block & from, int row) {
        d[row] = from.d;
        for (int j = 0; j < 8; j++) {
            q.put(j, row, four_of(from.qs + 4 * j) ^ SHIFT_8 * 0x01010101u);
        }
    }
};

// Blocks of 256 columns, in parts of 32 with a scale and a minimum each.
template <int BITS> struct weights_k {
    using tokens = tokens_256<0>;

    uint16_t        d[LANES], dmin[LANES];
    uint8_t         scales[8][LANES], mins[8][LANES];
    codes<BITS, 32> q[8];

    template <int R> ET_INLINE void add_to(floats (&total)[R], const tokens & a) const {
        const floats ds = f16(d), dmins = f16(dmin);
        each<R>([&](auto r) ET_LAMBDA {
            total[r] = multiply(total[r], all(a.ratio[r]));
        });
        for (int i = 0; i < 8; i++) {
            sums_of<BITS> sums[R];
            each<R>([&](auto r) ET_LAMBDA {
                sums[r].start(0);
            });
            dots<32>(q[i], a.qs + 8 * i, sums);
            const floats scale = multiply(ds, bytes(scales[i])), least = multiply(dmins, bytes(mins[i]));
            each<R>([&](auto r) ET_LAMBDA {
                total[r] = fma(to_floats(sums[r].result()), scale, total[r]);
                total[r] = fnma(least, all(a.sums[i][r]), total[r]);
            });
        }
    }

    template <int R> ET_INLINE static void finish(floats (&total)[R], const tokens & last) {
        each<R>([&](auto r) ET_LAMBDA {
            total[r] = multiply(total[r], all(last.d[r]));
        });
    }

    // The scales and minima are six bits each: the upper two of the last four are in the first eight bytes.
    void put_scales(const uint8_t (&packed)[12], int row) {
        for (int i = 0; i < 4; i++) {
            scales[i][row]     = packed[i] & 63;
            mins[i][row]       = packed[i + 4] & 63;
            scales[i + 4][row] = (packed[i + 8] & 15) | packed[i] >> 6 << 4;
            mins[i + 4][row]   = packed[i + 8] >> 4 | packed[i + 4] >> 6 << 4;
        }
    }
};

// Columns c and c + 32 share a byte.
template <typename CODES> void put_low(CODES (&q)[8], const uint8_t (&qs)[128], int row) {
    for (int i = 0; i < 8; i++) {
        for (int j = 0; j < 8; j++) {
            q[i].put(j, row, four_of(qs + i / 2 * 32 + 4 * j) >> 4 * (i % 2) & 0x0F0F0F0F);
        }
    }
}

struct weights_q4_K : weights_k<4> {
    using block = abi::block_q4_K;

    void put(const block & from, int row) {
        d[row]    = from.d;
        dmin[row] = from.dmin;
        put_scales(from.scales, row);
        put_low(q, from.qs, row);
    }
};

struct weights_q5_K : weights_k<5> {
    using block = abi::block_q5_K;

    void put(const block & from, int row) {
        d[row]    = from.d;
        dmin[row] = from.dmin;
        put_scales(from.scales, row);
        put_low(q, from.qs, row);
        for (int i = 0; i < 8; i++) {
            for (int j = 0; j < 8; j++) {
                q[i].put(j, row, (four_of(from.qh + 4 * j) >> i & 0x01010101) << 4);
            }
        }
    }
};

// Blocks of 256 columns, in parts of 16 with a signed scale each.
struct weights_q6_K {
    using block  = abi::block_q6_K;
    using tokens = tokens_256<32>;

    uint16_t     d[LANES];
    int8_t       scales[16][LANES];
    codes<6, 16> q[16];

    template <int R> ET_INLINE void add_to(floats (&total)[R], const tokens & a) const {
        const floats ds = f16(d);
        each<R>([&](auto r) ET_LAMBDA {
            total[r] = multiply(total[r], all(a.ratio[r]));
        });
        for (int i = 0; i < 16; i++) {
            sums_of<6> sums[R];
            each<R>([&](auto r) ET_LAMBDA {
                sums[r].start(a.sums[i][r]);
            });
            dots<16>(q[i], a.qs + 4 * i, sums);
            const floats scale = multiply(ds, bytes(scales[i]));
            each<R>([&](auto r) ET_LAMBDA {
                total[r] = fma(to_floats(sums[r].result()), scale, total[r]);
            });
        }
    }

    template <int R> ET_INLINE static void finish(floats (&total)[R], const tokens & last) {
        each<R>([&](auto r) ET_LAMBDA {
            total[r] = multiply(total[r], all(last.d[r]));
        });
    }

    void put(const block & from, int row) {
        d[row] = from.d;
        for (int i = 0; i < 16; i++) {
            scales[i][row] = from.scales[i];
        }
        // Columns l, l + 32, l + 64 and l + 96 of a half share a byte of high bits; l and l + 64 one of low bits.
        for (int quad = 0; quad < 64; quad++) {
            const int      half = quad / 32, quarter = quad % 32 / 8, l = quad % 8 * 4;
            const uint32_t low  = four_of(from.ql + 64 * half + 32 * (quarter % 2) + l) >> 4 * (quarter / 2) & 0x0F0F0F0F;
            const uint32_t high = four_of(from.qh + 32 * half + l) >> 2 * quarter & 0x03030303;
            q[quad / 4].put(quad % 4, row, low | high << 4);
        }
    }
};

}  // namespace
