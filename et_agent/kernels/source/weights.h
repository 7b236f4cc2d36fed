// Quantized weights, repacked: LANES rows are interleaved by four columns, so that one register holds four
// columns of each row. They keep the bits they have in the file, so that they take no more memory.
#pragma once

#include "abi.h"
#include "tokens.h"

namespace {

// BITS bits of COLUMNS columns of LANES rows.
template <int BITS, int COLUMNS> struct codes {
    static constexpr int QUADS = COLUMNS / 4, LINE = 4 * LANES;
    static constexpr int HIGH = BITS - 4, SHARE = HIGH == 0 ? QUADS : 8 / HIGH;  // registers that share high bits

    uint8_t low[QUADS / 2][LINE];
    uint8_t high[HIGH == 0 ? 0 : QUADS / SHARE][LINE];

    void put(int column, int row, int value) {
        const int quad = column / 4, at = 4 * row + column % 4;
        low[quad / 2][at] |= (value & 15) << 4 * (quad % 2);
        if constexpr (HIGH > 0) {
            high[quad / SHARE][at] |= (value >> 4) << HIGH * (quad % SHARE);
        }
    }

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

    void put(int column, int row, int value) { all[column / 4][4 * row + column % 4] = (uint8_t) value; }
    template <int QUAD> ET_INLINE ints get() const { return load_ints(all[QUAD]); }
};

// Sums of COLUMNS columns for R tokens.
template <int BITS, int COLUMNS, int R>
ET_INLINE void dots(const codes<BITS, COLUMNS> & weights, const int32_t (*tokens)[TILE], sums_of<BITS> (&sums)[R]) {
    each<COLUMNS / 4>([&](auto quad) __attribute__((always_inline)) {
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
template <int BITS, int SHIFT> struct weights_32 {
    using tokens = tokens_32<SHIFT>;

    uint16_t        d[LANES];
    codes<BITS, 32> q;

    template <int R> ET_INLINE void add_to(floats (&total)[R], const tokens & a) const {
        sums_of<BITS> sums[R];
        for (int r = 0; r < R; r++) {
            sums[r].start(a.starts[r]);
        }
        dots(q, a.qs, sums);
        const floats scale = f16(d);
        for (int r = 0; r < R; r++) {
            total[r] = fma(to_floats(sums[r].result()), multiply(scale, all(a.d[r])), total[r]);
        }
    }

    template <int R> ET_INLINE static void finish(floats (&)[R], const tokens &) {}
};

struct weights_q4_0 : weights_32<4, 8> {
    using block = abi::block_q4_0;

    void put(const block & from, int row) {
        d[row] = from.d;
        for (int j = 0; j < 16; j++) {
            q.put(j, row, from.qs[j] & 15);
            q.put(j + 16, row, from.qs[j] >> 4);
        }
    }
};

struct weights_q5_0 : weights_32<5, 16> {
    using block = abi::block_q5_0;

    void put(const block & from, int row) {
        uint32_t high;
        memcpy(&high, from.qh, sizeof(high));
        d[row] = from.d;
        for (int j = 0; j < 16; j++) {
            q.put(j, row, (from.qs[j] & 15) | (high >> j & 1) << 4);
            q.put(j + 16, row, from.qs[j] >> 4 | (high >> (j + 16) & 1) << 4);
        }
    }
};

constexpr int SHIFT_8 = SIGNED_BYTES ? 0 : 128;

struct weights_q8_0 : weights_32<8, SHIFT_8> {
    using block = abi::block_q8_0;

    void put(const block & from, int row) {
        d[row] = from.d;
        for (int j = 0; j < 32; j++) {
            q.put(j, row, from.qs[j] + SHIFT_8);
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
        for (int r = 0; r < R; r++) {
            total[r] = multiply(total[r], all(a.ratio[r]));
        }
        for (int i = 0; i < 8; i++) {
            sums_of<BITS> sums[R];
            for (int r = 0; r < R; r++) {
                sums[r].start(0);
            }
            dots(q[i], a.qs + 8 * i, sums);
            const floats scale = multiply(ds, bytes(scales[i])), least = multiply(dmins, bytes(mins[i]));
            for (int r = 0; r < R; r++) {
                total[r] = fma(to_floats(sums[r].result()), scale, total[r]);
                total[r] = fnma(least, all(a.sums[i][r]), total[r]);
            }
        }
    }

    template <int R> ET_INLINE static void finish(floats (&total)[R], const tokens & last) {
        for (int r = 0; r < R; r++) {
            total[r] = multiply(total[r], all(last.d[r]));
        }
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

struct weights_q4_K : weights_k<4> {
    using block = abi::block_q4_K;

    void put(const block & from, int row) {
        d[row]    = from.d;
        dmin[row] = from.dmin;
        put_scales(from.scales, row);
        for (int c = 0; c < 256; c++) {
            const uint8_t two = from.qs[c / 64 * 32 + c % 32];
            q[c / 32].put(c % 32, row, c / 32 % 2 == 0 ? two & 15 : two >> 4);
        }
    }
};

struct weights_q5_K : weights_k<5> {
    using block = abi::block_q5_K;

    void put(const block & from, int row) {
        d[row]    = from.d;
        dmin[row] = from.dmin;
        put_scales(from.scales, row);
        for (int c = 0; c < 256; c++) {
            const uint8_t two = from.qs[c / 64 * 32 + c % 32];
            const int     low = c / 32 % 2 == 0 ? two & 15 : two >> 4;
            q[c / 32].put(c % 32, row, low | (from.qh[c % 32] >> c / 32 & 1) << 4);
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
        for (int r = 0; r < R; r++) {
            total[r] = multiply(total[r], all(a.ratio[r]));
        }
        for (int i = 0; i < 16; i++) {
            sums_of<6> sums[R];
            for (int r = 0; r < R; r++) {
                sums[r].start(a.sums[i][r]);
            }
            dots(q[i], a.qs + 4 * i, sums);
            const floats scale = multiply(ds, bytes(scales[i]));
            for (int r = 0; r < R; r++) {
                total[r] = fma(to_floats(sums[r].result()), scale, total[r]);
            }
        }
    }

    template <int R> ET_INLINE static void finish(floats (&total)[R], const tokens & last) {
        for (int r = 0; r < R; r++) {
            total[r] = multiply(total[r], all(last.d[r]));
        }
    }

    void put(const block & from, int row) {
        d[row] = from.d;
        for (int i = 0; i < 16; i++) {
            scales[i][row] = from.scales[i];
        }
        for (int c = 0; c < 256; c++) {
            const int     half = c / 128, quarter = c % 128 / 32, l = c % 32;
            const uint8_t two  = from.ql[64 * half + 32 * (quarter % 2) + l];
            const int     high = from.qh[32 * half + l] >> 2 * quarter & 3;
            q[c / 16].put(c % 16, row, (quarter < 2 ? two & 15 : two >> 4) | high << 4);
        }
    }
};

}  // namespace
