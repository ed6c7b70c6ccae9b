// Products on tensor cores. A warp multiplies 16 rows of vectors by 8 columns of weights, 8 words
// of k at a time; a word holds `group` neighbouring operands of one row or column, the first in the
// lowest bits. Vectors are float32 in memory and become operands in registers; sums are float32.
//
// Lane l has rows l/4 and l/4 + 8, or column l/4, and in both words 2(l%4) and 2(l%4) + 1 where the
// instruction counts l%4 and l%4 + 4 (PTX ISA, "Matrix fragments for mma.m16n8k16", "m16n8k8"): the
// order in k is free, and so each lane loads neighbours.
#ifndef RNNC_EMULATED
#define RNNC_MMA(name, shape, types)                                                               \
  static __device__ __forceinline__ void rnnc_mma_##name(float *sums, const uint32_t *left,        \
                                                         const uint32_t *right) {                  \
    asm("mma.sync.aligned." shape ".row.col.f32." types ".f32 "                                    \
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"                          \
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])                               \
        : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right[0]), "r"(right[1]));   \
  }
RNNC_MMA(bf16, "m16n8k16", "bf16.bf16")
RNNC_MMA(fp16, "m16n8k16", "f16.f16")
RNNC_MMA(tf32, "m16n8k8", "tf32.tf32")

#define RNNC_PAIR(name, type)                                                                      \
  static __device__ __forceinline__ uint32_t rnnc_pair_##name(float low, float high) {             \
    uint32_t word;                                                                                 \
    asm("cvt.rn." type "x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));                   \
    return word;                                                                                   \
  }
RNNC_PAIR(bf16, "bf16")
RNNC_PAIR(fp16, "f16")

static __device__ __forceinline__ uint32_t rnnc_nearest_tf32(float value) {
  uint32_t word;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(word) : "f"(value));
  return word;
}
static __device__ __forceinline__ uint32_t rnnc_as_word(float value) {
  return __float_as_uint(value);
}
static __device__ __forceinline__ float rnnc_as_float(uint32_t word) {
  return __uint_as_float(word);
}
// What is made of the value is made where it is used: kept for a whole loop, it takes registers.
static __device__ __forceinline__ void rnnc_each_time(float &value) {
  asm volatile("" : "+f"(value));
}
#endif

// A type of operands: how weights stand in memory, and what words of each operand are multiplied.
struct rnnc_bf16 {
  typedef int weights;
  static constexpr int group = 2, parts = 1;
  static __device__ __forceinline__ void operand(const float *values, uint32_t *word) {
    word[0] = rnnc_pair_bf16(values[0], values[1]);
  }
  static __device__ __forceinline__ void weight(int stored, uint32_t *word) { word[0] = stored; }
  static __device__ __forceinline__ void multiply(float *sums, uint32_t (&left)[1][4],
                                                  uint32_t (&right)[1][2]) {
    rnnc_mma_bf16(sums, left[0], right[0]);
  }
};

struct rnnc_fp16 {
  typedef int weights;
  static constexpr int group = 2, parts = 1;
  static __device__ __forceinline__ void operand(const float *values, uint32_t *word) {
    word[0] = rnnc_pair_fp16(values[0], values[1]);
  }
  static __device__ __forceinline__ void weight(int stored, uint32_t *word) { word[0] = stored; }
  static __device__ __forceinline__ void multiply(float *sums, uint32_t (&left)[1][4],
                                                  uint32_t (&right)[1][2]) {
    rnnc_mma_fp16(sums, left[0], right[0]);
  }
};

struct rnnc_tf32 {
  typedef float weights;
  static constexpr int group = 1, parts = 1;
  static __device__ __forceinline__ void operand(const float *values, uint32_t *word) {
    word[0] = rnnc_nearest_tf32(values[0]);
  }
  static __device__ __forceinline__ void weight(float stored, uint32_t *word) {
    operand(&stored, word);
  }
  static __device__ __forceinline__ void multiply(float *sums, uint32_t (&left)[1][4],
                                                  uint32_t (&right)[1][2]) {
    rnnc_mma_tf32(sums, left[0], right[0]);
  }
};

// float32 as the sum of two tf32: three products, the smallest first; the fourth is lost.
struct rnnc_3xtf32 {
  typedef float weights;
  static constexpr int group = 1, parts = 2;
  static __device__ __forceinline__ void operand(const float *values, uint32_t *word) {
    word[0] = rnnc_nearest_tf32(values[0]);
    word[1] = rnnc_nearest_tf32(values[0] - rnnc_as_float(word[0]));
  }
  static __device__ __forceinline__ void weight(float stored, uint32_t *word) {
    rnnc_each_time(stored);
    operand(&stored, word);
  }
  static __device__ __forceinline__ void multiply(float *sums, uint32_t (&left)[2][4],
                                                  uint32_t (&right)[2][2]) {
    rnnc_mma_tf32(sums, left[1], right[0]);
    rnnc_mma_tf32(sums, left[0], right[1]);
    rnnc_mma_tf32(sums, left[0], right[0]);
  }
};

// No tensor cores: for tiles of many rows only.
struct rnnc_float32 {
  typedef float weights;
  static constexpr int group = 1, parts = 1;
  static __device__ __forceinline__ void operand(const float *values, uint32_t *word) {
    word[0] = rnnc_as_word(values[0]);
  }
};

// Words that are loaded and stored at once.
template <class WORD, int COUNT>
struct alignas(4 * COUNT) rnnc_words {
  WORD at[COUNT];
};

// Shared memory of a block: where the vectors of its rows begin, and sums of its products.
template <int COUNT>
static __device__ __forceinline__ int64_t *rnnc_starts_of_rows() {
  typedef int64_t array[COUNT];
  RNNC_SHARED(array, rnnc_starts);
  return rnnc_starts;
}
template <int COUNT>
static __device__ __forceinline__ float *rnnc_sums_of_block() {
  typedef float array[COUNT];
  RNNC_SHARED(array, rnnc_block_sums);
  return rnnc_block_sums;
}

template <int COUNT>
static __device__ __forceinline__ void rnnc_clear(float *sums) {
#pragma unroll
  for (int number = 0; number < COUNT; ++number) sums[number] = 0;
}

static __device__ __forceinline__ bool rnnc_is_aligned(const float *row) {
  return (uintptr_t)row % 16 == 0;
}

// What this lane has of 16 rows, at words `word` and `word` + 1.
template <class TYPE>
static __device__ __forceinline__ void rnnc_left(uint32_t (&left)[TYPE::parts][4],
                                                 const float *const *rows, bool aligned, int word,
                                                 int depth) {
  constexpr int group = TYPE::group;
  const bool whole = (word / 8 + 1) * 8 * group <= depth;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const float *row = rows[half] + word * group;
    rnnc_words<float, 2 * group> values;
    if (aligned && whole) {
      values = *(const rnnc_words<float, 2 * group> *)row;
    } else {
#pragma unroll
      for (int k = 0; k < 2 * group; ++k)
        values.at[k] = word * group + k < depth ? row[k] : 0.0f;
    }
#pragma unroll
    for (int number = 0; number < 2; ++number) {
      uint32_t found[TYPE::parts];
      TYPE::operand(values.at + number * group, found);
#pragma unroll
      for (int part = 0; part < TYPE::parts; ++part) left[part][2 * number + half] = found[part];
    }
  }
}

// One warp: 16 rows, each from x + starts[row] on, times 8 columns of each of PANELS panels that are
// `apart` words apart. A step of k has `stride` words; this warp takes every `every`-th 8 of them
// from the `first` on. Beyond `depth` nothing is read, nor counted. sums: [panel][4].
template <class TYPE, int PANELS>
static __device__ __forceinline__ void rnnc_multiply(float *sums, const float *x,
                                                     const int64_t *starts,
                                                     const typename TYPE::weights *weights,
                                                     int64_t depth, int64_t apart, int64_t stride,
                                                     int64_t first, int64_t every) {
  constexpr int group = TYPE::group, parts = TYPE::parts;
  const int lane = threadIdx.x % 32, own = lane / 4;
  const int words = ((int)depth + group - 1) / group;
  const float *const rows[2] = {x + starts[own], x + starts[8 + own]};
  const bool aligned = rnnc_is_aligned(rows[0]) && rnnc_is_aligned(rows[1]);
#pragma unroll 2
  for (int step = (int)first; 8 * step < words; step += (int)every) {
    const int word = 8 * step + lane % 4 * 2;
    uint32_t left[parts][4];
    rnnc_left<TYPE>(left, rows, aligned, word, (int)depth);
#pragma unroll
    for (int panel = 0; panel < PANELS; ++panel) {
      uint32_t right[parts][2];
#pragma unroll
      for (int number = 0; number < 2; ++number) {
        typename TYPE::weights stored = 0;
        if (word + number < words)
          stored = weights[(word + number) * stride + panel * apart + own];
        uint32_t found[parts];
        TYPE::weight(stored, found);
#pragma unroll
        for (int part = 0; part < parts; ++part) right[part][number] = found[part];
      }
      TYPE::multiply(sums + 4 * panel, left, right);
    }
  }
}

// The weights of one warp for STEPS steps, 8 columns of each panel: [step][panel][2], STRIDE apart.
// The warps of a block take turns in k.
template <class TYPE, int PANELS, int STEPS, int STRIDE, class MEMORY>
static __device__ __forceinline__ void rnnc_hold(MEMORY *memory,
                                                 const typename TYPE::weights *weights,
                                                 int64_t depth, int64_t apart, int64_t stride) {
  typename TYPE::weights *held = (typename TYPE::weights *)memory;
  const int lane = threadIdx.x % 32, warps = blockDim.x / 32;
  const int words = ((int)depth + TYPE::group - 1) / TYPE::group;
#pragma unroll
  for (int turn = 0; turn < STEPS; ++turn) {
    const int word = 8 * (turn * warps + (int)threadIdx.x / 32) + lane % 4 * 2;
#pragma unroll
    for (int number = 0; number < 2 * PANELS; ++number) {
      const int own = word + number % 2;
      held[(2 * PANELS * turn + number) * STRIDE] =
          own < words ? weights[own * stride + number / 2 * apart + lane / 4] : 0;
    }
  }
}

// As `rnnc_multiply`, 16 rows with the weights that a warp holds.
template <class TYPE, int PANELS, int STEPS, int STRIDE, class MEMORY>
static __device__ __forceinline__ void rnnc_multiply_held(float *sums, const float *x,
                                                          const int64_t *starts,
                                                          const MEMORY *memory, int64_t depth) {
  constexpr int parts = TYPE::parts;
  const typename TYPE::weights *held = (const typename TYPE::weights *)memory;
  const int lane = threadIdx.x % 32, warps = blockDim.x / 32;
  const float *const rows[2] = {x + starts[lane / 4], x + starts[8 + lane / 4]};
  const bool aligned = rnnc_is_aligned(rows[0]) && rnnc_is_aligned(rows[1]);
#pragma unroll(STRIDE == 1 ? STEPS : 2)
  for (int turn = 0; turn < STEPS; ++turn) {
    const int word = 8 * (turn * warps + (int)threadIdx.x / 32) + lane % 4 * 2;
    uint32_t left[parts][4];
    rnnc_left<TYPE>(left, rows, aligned, word, (int)depth);
#pragma unroll
    for (int panel = 0; panel < PANELS; ++panel) {
      uint32_t right[parts][2];
#pragma unroll
      for (int number = 0; number < 2; ++number) {
        uint32_t found[parts];
        TYPE::weight(held[(2 * (PANELS * turn + panel) + number) * STRIDE], found);
#pragma unroll
        for (int part = 0; part < parts; ++part) right[part][number] = found[part];
      }
      TYPE::multiply(sums + 4 * panel, left, right);
    }
  }
}

// Sums of one warp to where all threads of the block find them: row r, column c of panel p at
// memory[p * panel + r * width + c].
template <int PANELS>
static __device__ __forceinline__ void rnnc_spread(const float *sums, float *memory, int64_t panel,
                                                   int64_t width) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int number = 0; number < PANELS; ++number) {
    const float *found = sums + 4 * number;
    float *to = memory + number * (int)panel + lane / 4 * (int)width + lane % 4 * 2;
    to[0] = found[0], to[1] = found[1];
    to[8 * (int)width] = found[2], to[8 * (int)width + 1] = found[3];
  }
}
