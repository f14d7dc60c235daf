// The scalars of one AdamW step, computed once.
#pragma once

namespace licorne {

struct AdamWStep {
  float beta1, beta2;
  float clip;      // factor on the gradients
  float m_factor;  // learning rate / (1 - beta1^step)
  float v_factor;  // 1 / (1 - beta2^step)
  float epsilon;
  float decay;  // learning rate * weight decay
};

}  // namespace licorne
