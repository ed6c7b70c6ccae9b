
// Tiles of many rows: a block of four warps multiplies ROWS rows by COLUMNS columns of each of SLOTS
// sums, 16 words of k at a time. Weights come through shared memory by copies that nobody waits for
// until a stage of them is needed; vectors, which have to be rounded, through registers, a step ahead.
//
//   rows        [row][16 words], two of them: one is multiplied, the other one filled. Groups of 4
//               words are exchanged within 128 bytes such that 8 rows of `ldmatrix` lie in all banks
//   weights     [16 words][slot][column], STAGES of them; a row of words begins 8 banks further than
//               the one before
//
// ACROSS warps share the columns of each sum, the others rows.
#ifndef RNNC_EMULATED
static __device__ __forceinline__ unsigned rnnc_shared_address(const void *memory) {
  return (unsigned)__cvta_generic_to_shared(memory);
}
// 16 bytes to shared memory, or zeros, for which nothing is read: in the background, until
// `rnnc_await`.
static __device__ __forceinline__ void rnnc_copy(void *to, const void *from, bool inside) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(rnnc_shared_address(to)),
               "l"(from), "r"(inside ? 16 : 0)
               : "memory");
}
// What this thread has copied since the last time is one group.
static __device__ __forceinline__ void rnnc_group() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
// Waits for all groups of this thread but the last PENDING.
template <int PENDING>
static __device__ __forceinline__ void rnnc_await() {
  asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}
// Four matrices of 8 rows of 4 words: lane l names row l%8 of matrix l/8, and gets word l%4 of row
// l/4 of each.
static __device__ __forceinline__ void rnnc_matrices(uint32_t *words, const uint32_t *row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "r"(rnnc_shared_address(row))
               : "memory");
}
#endif

template <int COUNT>
static __device__ __forceinline__ float *rnnc_memory_of_tile() {
  struct alignas(16) memory {
    float at[COUNT];
  };
  RNNC_SHARED(memory, rnnc_tile);
  return rnnc_tile.at;
}

// What each row is: the values of loops, and the row of the batch.
template <int COUNT>
static __device__ __forceinline__ int64_t *rnnc_digits_of_rows() {
  typedef int64_t array[COUNT];
  RNNC_SHARED(array, rnnc_digits);
  return rnnc_digits;
}

template <class TYPE, int ROWS, int COLUMNS, int SLOTS, int APART, int ACROSS>
struct rnnc_tile_of {
  static constexpr int stages = 3, threads = 128, words = 16, group = TYPE::group,
                       parts = TYPE::parts;
  static constexpr int tiles = ROWS * ACROSS / 64, own = COLUMNS / ACROSS;
  static constexpr int groups = own / 8, panels = SLOTS * groups;
  static constexpr int width = SLOTS * COLUMNS, stride = width + (40 - width % 32) % 32;
  static constexpr int left = ROWS * words, right = words * stride;
  static constexpr int each = 4 * group;  // threads that share a row, 4 floats each
  static constexpr int loads = ROWS * each / threads, shares = loads > 1 ? 2 : 1;
  static constexpr int some = loads / shares;
  static constexpr int chunks = width / 4 * words, copies = (chunks + threads - 1) / threads;
  typedef typename TYPE::weights weights;

  // Word `word` of a row.
  static __device__ __forceinline__ int place(int row, int word) {
    return row * words + ((word / 4) ^ (row / 2 % 4)) * 4 + word % 4;
  }
  static __device__ __forceinline__ void copy(uint32_t *to, const weights *from, int step,
                                              int depth) {
#pragma unroll
    for (int number = 0; number < copies; ++number) {
      const int chunk = number * threads + (int)threadIdx.x;
      const int word = chunk / (width / 4), column = chunk % (width / 4) * 4;
      const bool inside = (step * words + word) * group < depth;
      const int at = (word * SLOTS + column / COLUMNS) * APART + column % COLUMNS;
      if (chunks % threads == 0 || chunk < chunks)
        rnnc_copy(to + word * stride + column, from + step * (words * SLOTS * APART) + at, inside);
    }
  }
  // The row that this thread brings.
  static __device__ __forceinline__ int row(int number) {
    return (int)threadIdx.x / each + number * (threads / each);
  }
  // Those of a share, in step `step`. Where they begin is looked up each time: registers are few.
  static __device__ __forceinline__ void fetch(float (&values)[some][4], const float *x,
                                               const int64_t *starts, int share, bool aligned,
                                               int step, int depth) {
    const int k = step * (words * group) + (int)threadIdx.x % each * 4;
    const float *rows[some];
#pragma unroll
    for (int number = 0; number < some; ++number)
      rows[number] = x + starts[row(share * some + number)];
    if (aligned && k + 4 <= depth) {
#pragma unroll
      for (int number = 0; number < some; ++number) {
        const auto found = *(const rnnc_words<float, 4> *)(rows[number] + k);
#pragma unroll
        for (int n = 0; n < 4; ++n) values[number][n] = found.at[n];
      }
    } else {
#pragma unroll
      for (int number = 0; number < some; ++number) {
#pragma unroll
        for (int n = 0; n < 4; ++n) values[number][n] = k + n < depth ? rows[number][k + n] : 0.0f;
      }
    }
  }
  static __device__ __forceinline__ void fill(uint32_t *to, const float (&values)[some][4],
                                              int share) {
    constexpr int count = 4 / group;
    const int word = (int)threadIdx.x % each * count;
#pragma unroll
    for (int number = 0; number < some; ++number) {
      uint32_t found[count][parts];
#pragma unroll
      for (int n = 0; n < count; ++n) TYPE::operand(values[number] + n * group, found[n]);
#pragma unroll
      for (int part = 0; part < parts; ++part) {
        rnnc_words<uint32_t, count> made;
#pragma unroll
        for (int n = 0; n < count; ++n) made.at[n] = found[n][part];
        *(rnnc_words<uint32_t, count> *)(to + part * left + place(row(share * some + number), word)) =
            made;
      }
    }
  }
  // Where this lane finds its part of the rows, and of a column of weights.
  template <class KIND>
  static __device__ __forceinline__ void find(int &at, int &column, KIND) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    at = place(warp / ACROSS * (16 * tiles) + lane % 16, lane / 16 * 4);
    column = lane % 4 * stride + warp % ACROSS * own + lane / 4;
  }
  // 8 words of k, the first of which is `first`.
  template <class KIND>
  static __device__ __forceinline__ void multiply(float *sums, const uint32_t *rows, int at,
                                                  const weights *columns, int first, KIND) {
    uint32_t found[tiles][parts][4];
#pragma unroll
    for (int tile = 0; tile < tiles; ++tile) {
#pragma unroll
      for (int part = 0; part < parts; ++part)
        rnnc_matrices(found[tile][part], rows + part * left + 16 * tile * words + (at ^ first));
    }
#pragma unroll
    for (int panel = 0; panel < panels; ++panel) {
      const weights *const column =
          columns + first * stride + panel / groups * COLUMNS + panel % groups * 8;
      uint32_t right[parts][2];
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        uint32_t made[parts];
        TYPE::weight(column[half * 4 * stride], made);
#pragma unroll
        for (int part = 0; part < parts; ++part) right[part][half] = made[part];
      }
#pragma unroll
      for (int tile = 0; tile < tiles; ++tile)
        TYPE::multiply(sums + 4 * (panel * tiles + tile), found[tile], right);
    }
  }
  // The same without tensor cores: a lane has the rows and columns that it has of an instruction's.
  static __device__ __forceinline__ void find(int &at, int &column, rnnc_float32) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    at = place(warp / ACROSS * (16 * tiles) + lane / 4, 0);
    column = warp % ACROSS * own + lane % 4 * 2;
  }
  static __device__ __forceinline__ void multiply(float *sums, const uint32_t *rows, int at,
                                                  const weights *columns, int first, rnnc_float32) {
#pragma unroll
    for (int quarter = first; quarter < first + 8; quarter += 4) {
      rnnc_words<float, 4> found[2 * tiles];
#pragma unroll
      for (int row = 0; row < 2 * tiles; ++row)
        found[row] = *(const rnnc_words<float, 4> *)(rows + 8 * row * words + (at ^ quarter));
#pragma unroll
      for (int k = 0; k < 4; ++k) {
#pragma unroll
        for (int panel = 0; panel < panels; ++panel) {
          const auto right = *(const rnnc_words<float, 2> *)(columns + (quarter + k) * stride +
                                                             panel / groups * COLUMNS +
                                                             panel % groups * 8);
#pragma unroll
          for (int row = 0; row < 2 * tiles; ++row) {
            float *const sum = sums + 4 * (panel * tiles + row / 2) + row % 2 * 2;
            sum[0] += found[row].at[k] * right.at[0], sum[1] += found[row].at[k] * right.at[1];
          }
        }
      }
    }
  }
};

// Adds what one factor has of the sums of each warp, [slot][8 columns][16 rows][4]. Row `row` of
// vectors begins at x + starts[row], the words of weights of a slot stand APART from those of the
// next; beyond `depth` nothing is read, nor counted. Any memory of the tile may be in use before.
template <class TYPE, int ROWS, int COLUMNS, int SLOTS, int APART, int ACROSS>
static __device__ __forceinline__ void rnnc_accumulate(float *sums, const float *x,
                                                       const int64_t *starts,
                                                       const typename TYPE::weights *packed,
                                                       int64_t depth, float *memory) {
  typedef rnnc_tile_of<TYPE, ROWS, COLUMNS, SLOTS, APART, ACROSS> tile;
  const int steps = ((int)depth + tile::words * tile::group - 1) / (tile::words * tile::group);
  uint32_t *const left = (uint32_t *)memory, *const right = left + 2 * tile::parts * tile::left;
  float values[tile::some][4];
  bool aligned = true;
  __syncthreads();
#pragma unroll
  for (int number = 0; number < tile::loads; ++number)
    aligned &= rnnc_is_aligned(x + starts[tile::row(number)]);
#pragma unroll
  for (int stage = 0; stage < tile::stages - 1; ++stage) {
    tile::copy(right + stage * tile::right, packed, stage, (int)depth);
    rnnc_group();
  }
#pragma unroll
  for (int share = 0; share < tile::shares; ++share) {
    tile::fetch(values, x, starts, share, aligned, 0, (int)depth);
    tile::fill(left, values, share);
  }
  int at, column;
  tile::find(at, column, TYPE());
  int filled = tile::stages - 1, used = 0;
#pragma unroll 1
  for (int step = 0; step < steps; ++step) {
    rnnc_await<tile::stages - 2>();
    __syncthreads();
    const int ahead = step + tile::stages - 1;
    if (ahead < steps) tile::copy(right + filled * tile::right, packed, ahead, (int)depth);
    rnnc_group();
    uint32_t *const own = left + step % 2 * tile::parts * tile::left;
    uint32_t *const next = left + (step + 1) % 2 * tile::parts * tile::left;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const bool more = step + 1 < steps && half < tile::shares;
      if (more) tile::fetch(values, x, starts, half, aligned, step + 1, (int)depth);
      tile::multiply(sums, own, at,
                     (const typename TYPE::weights *)right + used * tile::right + column, 8 * half,
                     TYPE());
      if (more) tile::fill(next, values, half);
    }
    filled = filled + 1 < tile::stages ? filled + 1 : 0;
    used = used + 1 < tile::stages ? used + 1 : 0;
  }
}

// Rows 8 `part` to 8 `part` + 7 of the sums of a warp, [row][panel][column], to where its lanes find
// them; a row has `stride` floats.
template <int TILES, int PANELS>
static __device__ __forceinline__ void rnnc_show(const float *sums, int64_t part, float *memory,
                                                 int64_t stride) {
  const int lane = threadIdx.x % 32;
  const int chosen = 1 << (int)part;  // a bit: an equal number would be taken for an index
  memory += lane / 4 * (int)stride + lane % 4 * 2;
#pragma unroll
  for (int number = 0; number < 2 * TILES; ++number) {
    if (!(chosen >> number & 1)) continue;
#pragma unroll
    for (int panel = 0; panel < PANELS; ++panel) {
      const float *const found = sums + 4 * (panel * TILES + number / 2) + number % 2 * 2;
      *(rnnc_words<float, 2> *)(memory + 8 * panel) = rnnc_words<float, 2>{found[0], found[1]};
    }
  }
}
