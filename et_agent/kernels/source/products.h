// Products of quantized weights and a batch of tokens.
#pragma once

#include "abi.h"

// What the threads of one operation share.
struct team {
    int    member, members;
    void * work;
    void (*wait)(void * what);  // until all are there
    void * what;

    void together() const {
        if (members > 1) {
            wait(what);
        }
    }
};

// Where the values of each token are, and where its results go: float32, side by side.
struct batch {
    int64_t       tokens;
    const float * (*from)(const void * context, int64_t token);
    float *       (*to)(const void * context, int64_t token);
    const void *  context;
};

// One type of weights.
struct product {
    virtual size_t weights_size(int64_t rows, int64_t columns) const                           = 0;
    virtual void   repack(int64_t rows, int64_t columns, const void * from, void * to) const   = 0;
    virtual size_t work_size(int64_t columns, int64_t tokens) const                            = 0;
    virtual void   run(const team &, int64_t rows, int64_t columns, const void * weights, const batch &) const = 0;

  protected:
    ~product() = default;
};

// Null for types that stay with llama.cpp.
const product * product_of(int32_t type, int64_t columns);
