// The part of cuBLASLt that Licorne's Java side calls, on the host's memory by plain loops (see cudart.cc). Whatever does not
// fit together is refused as cuBLASLt would refuse it: sizes, leading dimensions, types, and addresses that are less aligned
// than was promised when the algorithm was chosen. Who leaves descriptions behind gets no handle any more.
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

constexpr int kSuccess = 0, kInvalidValue = 7, kInternalError = 14, kNotSupported = 15;
constexpr int kFloat = 0, kBFloat16 = 14;          // cudaDataType
constexpr int kCompute32F = 68;                    // cublasComputeType_t
constexpr int kTransA = 3, kTransB = 4, kEpilogue = 7, kBiasPointer = 8, kBiasType = 26;  // of a description
constexpr int kMostWorkspace = 1, kReduction = 3, kAlignmentA = 5;                        // of a preference, A to D
constexpr int kEpilogueBias = 4;
constexpr int kProposals = 3;

// Sums of so many terms for which this library is as awkward as cuBLASLt may be for some.
constexpr uint64_t kFirstDoesNotRun = 101;     // the algorithm proposed first is refused when it is to run
constexpr uint64_t kFewHoldForFewer = 103;     // all but one proposed last of many need 64 columns
constexpr uint64_t kNoneWithBias = 107;        // no algorithm adds a bias
constexpr uint64_t kNoneRunsWithBias = 109;    // some are proposed, but none runs
constexpr uint64_t kNone = 113;                // no algorithm
constexpr uint64_t kBroken = 127;              // asking fails
constexpr uint64_t kRefusedRows = 131, kRefusedColumns = 137;  // a matrix that cannot be described
constexpr int kManyProposals = 12;

std::atomic<int> handles, descriptions;

struct Layout {
  int type;
  uint64_t rows, columns;
  int64_t leading;
};
struct Operation {
  int compute, scale;
  int trans[2] = {0, 0};
  int epilogue = 1, bias_type = -1;
  const void* bias = nullptr;
};
struct Preference {
  uint64_t workspace;
  uint32_t reduction, alignment[4];
};
struct Algorithm {
  uint64_t number, alignment[4], bias_alignment, reserved[2];
};
struct Proposal {
  Algorithm algorithm;
  size_t workspace;
  int state;
  float waves;
  int reserved[4];
};
static_assert(sizeof(Algorithm) == 64 && sizeof(Proposal) == 96, "as cuBLASLt has them");

float load(const void* p, int type, int64_t i) {
  if (type == kFloat) return static_cast<const float*>(p)[i];
  const uint32_t bits = static_cast<uint32_t>(static_cast<const uint16_t*>(p)[i]) << 16;
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}
void store(void* p, int type, int64_t i, float x) {
  if (type == kFloat) {
    static_cast<float*>(p)[i] = x;
    return;
  }
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  if (!std::isnan(x)) bits += 0x7fff + (bits >> 16 & 1);
  static_cast<uint16_t*>(p)[i] = static_cast<uint16_t>(bits >> 16);
}

bool fits(const Operation& op, const Layout& a, const Layout& b, const Layout& c, const Layout& d) {
  const uint64_t m = op.trans[0] ? a.columns : a.rows, k = op.trans[0] ? a.rows : a.columns;
  const uint64_t n = op.trans[1] ? b.rows : b.columns, k_b = op.trans[1] ? b.columns : b.rows;
  for (const Layout* x : {&a, &b, &c, &d})
    if (x->leading < static_cast<int64_t>(x->rows) || x->rows == 0 || x->columns == 0) return false;
  return k == k_b && d.rows == m && d.columns == n && c.rows == m && c.columns == n && op.compute == kCompute32F &&
         op.scale == kFloat && a.type == b.type && c.type == d.type && (d.type == a.type || d.type == kFloat) &&
         (op.epilogue == 1 || (op.epilogue == kEpilogueBias && op.bias && op.bias_type == d.type));
}

uint64_t terms(const Operation& op, const Layout& a) { return op.trans[0] ? a.rows : a.columns; }

uint64_t alignment_of(const void* address) {
  const uint64_t bits = reinterpret_cast<uintptr_t>(address) | 16;
  return bits & (0 - bits);
}

}  // namespace

extern "C" {

int cublasLtCreate(void** handle) {
  if (handles == 0 && descriptions != 0) return kInternalError;
  handles++;
  *handle = malloc(1);
  return kSuccess;
}
int cublasLtDestroy(void* handle) {
  handles--;
  free(handle);
  return kSuccess;
}
size_t cublasLtGetVersion() { return 130000; }
const char* cublasLtGetStatusString(int status) {
  return status == kInvalidValue ? "an unsupported value or parameter was passed" : "the operation is not supported";
}

int cublasLtMatrixLayoutCreate(Layout** layout, int type, uint64_t rows, uint64_t columns, int64_t leading) {
  if (type != kFloat && type != kBFloat16) return kInvalidValue;
  if (rows == kRefusedRows && columns == kRefusedColumns) return kInvalidValue;
  descriptions++;
  *layout = new Layout{type, rows, columns, leading};
  return kSuccess;
}
int cublasLtMatrixLayoutDestroy(Layout* layout) {
  descriptions--;
  delete layout;
  return kSuccess;
}
int cublasLtMatmulDescCreate(Operation** operation, int compute, int scale) {
  descriptions++;
  *operation = new Operation{compute, scale};
  return kSuccess;
}
int cublasLtMatmulDescDestroy(Operation* operation) {
  descriptions--;
  delete operation;
  return kSuccess;
}
int cublasLtMatmulDescSetAttribute(Operation* op, int attribute, const void* value, size_t bytes) {
  void* place = nullptr;
  size_t wanted = sizeof(int32_t);
  switch (attribute) {
    case kTransA: place = &op->trans[0]; break;
    case kTransB: place = &op->trans[1]; break;
    case kEpilogue: place = &op->epilogue; break;
    case kBiasType: place = &op->bias_type; break;
    case kBiasPointer:
      place = &op->bias;
      wanted = sizeof(void*);
      break;
    default: return kInvalidValue;
  }
  if (bytes != wanted) return kInvalidValue;
  memcpy(place, value, bytes);
  return kSuccess;
}

int cublasLtMatmulPreferenceCreate(Preference** preference) {
  descriptions++;
  *preference = new Preference{0, 0xffffffffu, {256, 256, 256, 256}};
  return kSuccess;
}
int cublasLtMatmulPreferenceDestroy(Preference* preference) {
  descriptions--;
  delete preference;
  return kSuccess;
}
int cublasLtMatmulPreferenceSetAttribute(Preference* preference, int attribute, const void* value, size_t bytes) {
  if (attribute == kMostWorkspace && bytes == sizeof(uint64_t))
    memcpy(&preference->workspace, value, bytes);
  else if (attribute == kReduction && bytes == sizeof(uint32_t))
    memcpy(&preference->reduction, value, bytes);
  else if (attribute >= kAlignmentA && attribute < kAlignmentA + 4 && bytes == sizeof(uint32_t))
    memcpy(&preference->alignment[attribute - kAlignmentA], value, bytes);
  else
    return kInvalidValue;
  return kSuccess;
}

int cublasLtMatmulAlgoGetHeuristic(void*, const Operation* op, const Layout* a, const Layout* b, const Layout* c,
                                   const Layout* d, const Preference* preference, int asked, Proposal* proposals, int* found) {
  const uint64_t k = terms(*op, *a);
  if (!fits(*op, *a, *b, *c, *d) || (k == kNoneWithBias && op->epilogue == kEpilogueBias)) return kInvalidValue;
  if (k == kNone) return kNotSupported;
  if (k == kBroken) return kInternalError;
  const int most = k == kFewHoldForFewer ? kManyProposals : kProposals;
  *found = asked < most ? asked : most;
  for (int i = 0; i < *found; i++) {
    proposals[i] = {};
    proposals[i].algorithm.number = static_cast<uint64_t>(i) + 1;
    for (int operand = 0; operand < 4; operand++) proposals[i].algorithm.alignment[operand] = preference->alignment[operand];
    proposals[i].algorithm.bias_alignment = alignment_of(op->bias);
  }
  return *found > 0 ? kSuccess : kNotSupported;
}
int cublasLtMatmulAlgoCheck(void*, const Operation* op, const Layout* a, const Layout* b, const Layout* c, const Layout* d,
                            const Algorithm* algorithm, Proposal* result) {
  if (!fits(*op, *a, *b, *c, *d) || algorithm->number == 0) return kInvalidValue;
  if (terms(*op, *a) == kFewHoldForFewer && d->columns < 64 && algorithm->number < uint64_t{kManyProposals}) return kNotSupported;
  *result = {};
  result->algorithm = *algorithm;
  return kSuccess;
}

int cublasLtMatmul(void*, const Operation* op, const float* alpha, const void* a, const Layout* la, const void* b,
                   const Layout* lb, const float* beta, const void* c, const Layout* lc, void* d, const Layout* ld,
                   const Algorithm* algorithm, void* workspace, size_t workspace_bytes, void*) {
  if (!fits(*op, *la, *lb, *lc, *ld) || !algorithm || algorithm->number == 0) return kInvalidValue;
  if (workspace_bytes > 0 && !workspace) return kInvalidValue;
  const bool with_bias = op->epilogue == kEpilogueBias;
  if (terms(*op, *la) == kFirstDoesNotRun && algorithm->number == 1) return kNotSupported;
  if (terms(*op, *la) == kNoneRunsWithBias && with_bias) return kNotSupported;
  if (with_bias && reinterpret_cast<uintptr_t>(op->bias) % algorithm->bias_alignment) return kNotSupported;
  const void* operands[] = {a, b, c, d};
  for (int i = 0; i < 4; i++)
    if (reinterpret_cast<uintptr_t>(operands[i]) % algorithm->alignment[i]) return kNotSupported;
  const int64_t m = ld->rows, n = ld->columns, k = terms(*op, *la);
  std::vector<float> row(k);
  for (int64_t i = 0; i < m; i++) {
    for (int64_t l = 0; l < k; l++) row[l] = load(a, la->type, op->trans[0] ? l + i * la->leading : i + l * la->leading);
    for (int64_t j = 0; j < n; j++) {
      double sum = 0;
      for (int64_t l = 0; l < k; l++)
        sum += static_cast<double>(row[l]) * load(b, lb->type, op->trans[1] ? j + l * lb->leading : l + j * lb->leading);
      sum *= *alpha;
      if (*beta != 0) sum += static_cast<double>(*beta) * load(c, lc->type, i + j * lc->leading);
      if (with_bias) sum += load(op->bias, op->bias_type, i);
      store(d, ld->type, i + j * ld->leading, static_cast<float>(sum));
    }
  }
  return kSuccess;
}

}  // extern "C"
