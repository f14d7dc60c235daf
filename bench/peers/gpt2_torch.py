#!/usr/bin/env python3
"""PyTorch at the work that bench/gpu/check measures Licorne at, on the same GPU: training GPT-2 with torch.compile,
scaled_dot_product_attention and bfloat16, attention by flash and by cuDNN, cross-entropy, a head with its loss, norms,
AdamW, matrix products, and decoding.

    python3 gpt2_torch.py --output peers.json [--only training,attention,head,...] [--seconds 500]

Writes JSON of the same form as Licorne's parts: "kernels" with milliseconds and a rate, "work" with seconds and tokens per
second. Operations are counted alike: 6 N + 6 L T C per token of a training step, and beside it, as a share of 989 TFLOP/s, by
6 N + 12 L T C, which takes a causal mask for none; 4 D per visible pair and head in attention forward and 10 D backward;
three products in a head with its loss. A "training step" ends when the GPU is done, in a "training run" steps follow one
another without waiting. Training in bf16 is under autocast: products and attention are in bfloat16, the residual stream and
the norms in F32; the JSON says so. A variant is named behind the work ("compiled", "cudnn"), and the fastest counts. The file
is written anew after each figure, so that a time limit costs only what was not done.
"""
import argparse
import gc
import json
import os
import statistics
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

RUNS = 15
SIZES = {  # layers, heads, channels
    "gpt2": (12, 12, 768),
    "gpt2-medium": (24, 16, 1024),
    "gpt2-xl": (48, 25, 1600),
}
VOCABULARY, PADDED, CONTEXT = 50257, 50304, 1024
H200_TERAFLOPS = 989  # products in bfloat16, as the maker states them


class Report:
    def __init__(self, file):
        self.file = file
        self.root = {
            "torch": torch.__version__, "cuda": torch.version.cuda,
            "trainingPrecision": "bf16: autocast, so the residual stream and norms stay F32; decoding is bfloat16 throughout",
            "kernels": [], "work": [], "failures": []}

    def write(self):
        draft = self.file + ".part"
        with open(draft, "w") as out:
            json.dump(self.root, out, indent=2)
        os.replace(draft, self.file)


class Block(nn.Module):
    def __init__(self, heads, channels):
        super().__init__()
        self.heads = heads
        self.ln_1 = nn.LayerNorm(channels)
        self.attention_in = nn.Linear(channels, 3 * channels)
        self.attention_out = nn.Linear(channels, channels)
        self.ln_2 = nn.LayerNorm(channels)
        self.mlp_in = nn.Linear(channels, 4 * channels)
        self.mlp_out = nn.Linear(4 * channels, channels)

    def forward(self, x, cache=None):
        B, T, C = x.shape
        parts = self.attention_in(self.ln_1(x)).view(B, T, 3, self.heads, C // self.heads)
        q, k, v = (parts[:, :, i].transpose(1, 2) for i in range(3))  # (B, H, T, D)
        if cache is None:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            keys, values, position, mask = cache
            keys.index_copy_(2, position, k)
            values.index_copy_(2, position, v)
            y = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask)
        x = x + self.attention_out(y.transpose(1, 2).reshape(B, T, C))
        return x + self.mlp_out(F.gelu(self.mlp_in(self.ln_2(x)), approximate="tanh"))


class Gpt(nn.Module):
    def __init__(self, layers, heads, channels):
        super().__init__()
        self.tokens = nn.Embedding(PADDED, channels)
        self.positions = nn.Embedding(CONTEXT, channels)
        self.blocks = nn.ModuleList(Block(heads, channels) for _ in range(layers))
        self.ln_f = nn.LayerNorm(channels)
        for p in self.parameters():
            if p.dim() > 1:
                nn.init.normal_(p, std=0.02)

    def logits(self, hidden):
        return F.linear(self.ln_f(hidden), self.tokens.weight)  # the head is tied

    def forward(self, ids, targets):
        x = self.tokens(ids) + self.positions.weight[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        logits = self.logits(x).view(-1, PADDED)
        return F.cross_entropy(logits[:, :VOCABULARY].float(), targets.view(-1))

    def step(self, ids, position, caches, mask):
        x = self.tokens(ids) + self.positions(position)
        for block, (keys, values) in zip(self.blocks, caches):
            x = block(x, (keys, values, position, mask))
        return self.logits(x[:, -1])[:, :VOCABULARY].argmax(-1, keepdim=True)


def parameters(model):
    return sum(p.numel() for p in model.parameters()) - (PADDED - VOCABULARY) * model.tokens.embedding_dim


def events(op, flush=None, runs=RUNS):
    """Sorted milliseconds of each run, by the GPU's clock."""
    for _ in range(3):
        op()
    torch.cuda.synchronize()
    times = []
    for _ in range(runs):
        if flush is not None:
            flush.zero_()
        torch.cuda._sleep(1_000_000)  # cycles in which Python gets ahead, so that its launches are not in the figure
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        op()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    return sorted(times)


def kernel(report, name, sizes, times, flops=0, data=0, **more):
    median = statistics.median(times)
    entry = {"kernel": name, "sizes": sizes, "precision": "bf16", "milliseconds": median, "least": times[0], "most": times[-1]}
    entry.update(more)
    if flops:
        entry["teraflops"] = flops / median * 1e-9
    else:
        entry["gigabytesPerSecond"] = data / median * 1e-6
    report.root["kernels"].append(entry)
    report.write()
    print(f"{name:28} {sizes:34} {median:9.4f} ms "
          + (f"{entry['teraflops']:8.1f} TFLOP/s" if flops else f"{entry['gigabytesPerSecond']:8.0f} GB/s"), flush=True)


def work(report, name, model, precision, batch, context, seconds, tokens, flops=0, data=0, unmasked=0):
    median = statistics.median(seconds)
    entry = {
        "work": name, "model": model, "precision": precision, "batch": batch, "context": context, "seconds": median,
        "least": min(seconds), "most": max(seconds), "tokensPerSecond": tokens / median,
        "teraflops": flops / median * 1e-12, "gigabytesPerSecond": data / median * 1e-9}
    if unmasked:
        entry["percentOf989With6N6LTC"] = 100e-12 * flops / median / H200_TERAFLOPS
        entry["percentOf989With6N12LTC"] = 100e-12 * unmasked / median / H200_TERAFLOPS
    report.root["work"].append(entry)
    report.write()
    print(f"{name:14} {model:12} {precision} B={batch} T={context}: {1e3 * median:.3f} ms, "
          f"{tokens / median:.0f} tokens/s, {flops / median * 1e-12:.1f} TFLOP/s, {data / median * 1e-9:.0f} GB/s"
          + (f", {entry['percentOf989With6N12LTC']:.1f} % of 989 TFLOP/s by 6N+12LTC" if unmasked else ""), flush=True)


def on_gpu(size):
    """A model made there: to draw the numbers of the largest on the host takes half a minute."""
    torch.manual_seed(1)
    with torch.device("cuda"):
        return Gpt(*SIZES[size])


def training(report, size, B, precision, compiled, cudnn=False):
    if cudnn:
        from torch.nn.attention import SDPBackend, sdpa_kernel

        try:
            with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
                train(report, size, B, precision, compiled, " cudnn")
        except RuntimeError as e:  # the variant without counts
            report.root["failures"].append(f"training {size} B={B} cudnn: {e}")
            report.write()
    else:
        train(report, size, B, precision, compiled, "")


def train(report, size, B, precision, compiled, variant):
    layers, heads, channels = SIZES[size]
    T = CONTEXT
    model = on_gpu(size)
    decayed = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() == 1]
    optimiser = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}],
                                  lr=3e-4, betas=(0.9, 0.95), fused=True)
    torch._dynamo.reset()  # what another size was compiled to would make this one's sizes dynamic
    run = torch.compile(model, dynamic=False) if compiled else model
    ids = torch.randint(VOCABULARY, (B, T + 1), device="cuda")

    def step():
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=precision == "bf16"):
            loss = run(ids[:, :-1], ids[:, 1:])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()

    for _ in range(4):
        step()
    torch.cuda.synchronize()
    seconds = []
    for _ in range(11):
        start = time.perf_counter()
        step()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    flops = (6 * parameters(model) + 6 * layers * T * channels) * B * T
    unmasked = (6 * parameters(model) + 12 * layers * T * channels) * B * T
    kind = (" compiled" if compiled else "") + variant
    work(report, "training step" + kind, size, precision, B, T, seconds, B * T, flops, unmasked=unmasked)
    start = time.perf_counter()
    for _ in range(11):
        step()
    torch.cuda.synchronize()
    seconds = [(time.perf_counter() - start) / 11]
    work(report, "training run" + kind, size, precision, B, T, seconds, B * T, flops, unmasked=unmasked)


def attention(report, B, T, H, D, causal, flush):
    from torch.nn.attention import SDPBackend, sdpa_kernel

    shape = (B, H, T, D)
    q, k, v = (torch.randn(shape, device="cuda", dtype=torch.bfloat16, requires_grad=True) for _ in range(3))
    dout = torch.randn(shape, device="cuda", dtype=torch.bfloat16)
    pairs = B * H * (T * (T + 1) / 2 if causal else T * T)
    sizes = f"B={B} T={T} H={H} D={D}" + (" causal" if causal else "")
    for name, backend in (("flash", SDPBackend.FLASH_ATTENTION), ("cudnn", SDPBackend.CUDNN_ATTENTION)):
        try:
            with sdpa_kernel(backend):
                with torch.no_grad():
                    forward = events(lambda: F.scaled_dot_product_attention(q, k, v, is_causal=causal), flush)
                kernel(report, f"attention_forward {name}", sizes, forward, flops=4 * D * pairs)
                out = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
                backward = events(lambda: torch.autograd.grad(out, (q, k, v), dout, retain_graph=True), flush)
                kernel(report, f"attention_backward {name}", sizes, backward, flops=10 * D * pairs)
        except RuntimeError as e:
            report.root["failures"].append(f"{name} {sizes}: {e}")
            report.write()


def cross_entropy(report, flush, N=8192):
    logits = torch.randn(N, PADDED, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    targets = torch.randint(VOCABULARY, (N,), device="cuda")

    def both(loss):
        value = loss(logits, targets)
        torch.autograd.grad(value, logits)

    def plain(x, y):
        return F.cross_entropy(x[:, :VOCABULARY].float(), y)

    data = 4.0 * N * PADDED
    kernel(report, "cross_entropy_backward", f"N={N} V={VOCABULARY}", events(lambda: both(plain), flush), data=data)
    compiled = torch.compile(plain)
    kernel(report, "cross_entropy_backward compiled", f"N={N} V={VOCABULARY}", events(lambda: both(compiled), flush), data=data)


def head(report, flush, N=4096, C=4096, V=128256):
    """Logits and their loss, forward and backward, and what memory that takes at its peak beside inputs and gradients."""
    hidden = torch.randn(N, C, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    weight = (0.02 * torch.randn(V, C, device="cuda")).to(torch.bfloat16).requires_grad_()
    targets = torch.randint(V, (N,), device="cuda")

    def plain(x, w, y):
        return F.cross_entropy(F.linear(x, w).float(), y)

    for name, loss in (("head_and_loss", plain), ("head_and_loss compiled", torch.compile(plain, dynamic=False))):
        def both():
            torch.autograd.grad(loss(hidden, weight, targets), (hidden, weight))

        try:
            both()
            torch.cuda.synchronize()
            held = torch.cuda.memory_allocated()
            torch.cuda.reset_peak_memory_stats()
            both()
            torch.cuda.synchronize()
            extra = torch.cuda.max_memory_allocated() - held - hidden.nbytes - weight.nbytes
            kernel(report, name, f"N={N} C={C} V={V}", events(both, flush), flops=6.0 * N * C * V, extraBytes=extra)
        except torch.cuda.OutOfMemoryError as e:
            report.root["failures"].append(f"{name} N={N} C={C} V={V}: {e}")
            report.write()
            torch.cuda.empty_cache()


def moving(report, flush):
    """Layer norm on a sum, compiled as a model's is, and the fused AdamW."""
    def norm(x, residual, gamma, beta):
        total = x + residual
        return F.layer_norm(total, (x.shape[1],), gamma, beta), total

    for N, C in ((32768, 768), (32768, 1600)):
        x, residual = (torch.randn(N, C, device="cuda", dtype=torch.bfloat16, requires_grad=True) for _ in range(2))
        gamma, beta = (torch.randn(C, device="cuda", dtype=torch.bfloat16, requires_grad=True) for _ in range(2))
        compiled = torch.compile(norm, dynamic=False)
        sizes = f"N={N} C={C} residual"
        with torch.no_grad():
            kernel(report, "layer_norm_forward compiled", sizes, events(lambda: compiled(x, residual, gamma, beta), flush),
                   data=8.0 * N * C)
        with torch._functorch.config.patch(donated_buffer=False):  # else what forward kept serves backward only once
            outputs = compiled(x, residual, gamma, beta)
            gradients = [torch.randn_like(outputs[0]) for _ in outputs]
            backward = events(lambda: torch.autograd.grad(outputs, (x, gamma, beta), gradients, retain_graph=True), flush)
        kernel(report, "layer_norm_backward compiled", sizes, backward, data=8.0 * N * C)
    parameter = torch.nn.Parameter(torch.randn(124_000_000, device="cuda"))
    parameter.grad = torch.randn_like(parameter)
    optimiser = torch.optim.AdamW([parameter], lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    kernel(report, "adamw", f"count={parameter.numel()}", events(optimiser.step, flush), data=28.0 * parameter.numel())


def products(report, flush):
    for N, C, OC in ((8192, 8192, 8192), (32768, 768, 3072), (32768, 768, 50304)):
        x = torch.randn(N, C, device="cuda", dtype=torch.bfloat16)
        weight = torch.randn(OC, C, device="cuda", dtype=torch.bfloat16)
        bias = torch.randn(OC, device="cuda", dtype=torch.bfloat16)
        kernel(report, "linear_forward", f"N={N} C={C} OC={OC}", events(lambda: F.linear(x, weight, bias), flush),
               flops=2.0 * N * C * OC)
    x = torch.randn(1 << 28, device="cuda")
    out = torch.empty_like(x)
    kernel(report, "copy", "2^28 floats", events(lambda: out.copy_(x), flush), data=8.0 * x.numel())


def decode(report, size, B, prompt=64, tokens=64):
    """One token per sequence and step as one CUDA graph, of the model as it is and compiled; the cache has the length it ends
    with."""
    layers, heads, channels = SIZES[size]
    model = on_gpu(size).to(torch.bfloat16).eval()
    S = prompt + tokens
    caches = [tuple(torch.randn(B, heads, S, channels // heads, device="cuda", dtype=torch.bfloat16) for _ in range(2))
              for _ in range(layers)]
    weights = 2.0 * (parameters(model) - (CONTEXT - 1) * channels)
    cached = 2.0 * (prompt + S) / 2 * 2 * layers * channels * B
    torch._dynamo.reset()
    for name, forward in (("decode", model.step), ("decode compiled", torch.compile(model.step, dynamic=False, fullgraph=True))):
        try:
            seconds = decoding_steps(forward, caches, B, S, prompt)
            work(report, name, size, "bf16", B, prompt, seconds, B, 0, weights + cached)
        except Exception as e:  # the other variant's figure counts
            report.root["failures"].append(f"{name} {size} B={B}: {type(e).__name__}: {e}")
            report.write()


@torch.no_grad()
def decoding_steps(forward, caches, B, S, prompt):
    """Seconds of each of 48 steps."""
    ids = torch.randint(VOCABULARY, (B, 1), device="cuda")
    position = torch.full((1,), prompt, device="cuda")
    places = torch.arange(S, device="cuda")
    mask = torch.zeros(1, 1, 1, S, device="cuda", dtype=torch.bfloat16)  # what is added to scores, once for all layers

    def step():
        mask.zero_().masked_fill_((places > position).view(1, 1, 1, S), float("-inf"))
        ids.copy_(forward(ids, position, caches, mask))

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    seconds = []
    for t in range(48):
        position.fill_(prompt + t)
        torch.cuda.synchronize()
        start = time.perf_counter()
        graph.replay()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return seconds


def main():
    options = argparse.ArgumentParser(description="PyTorch at the work of the GPU kit")
    options.add_argument("--output", required=True)
    options.add_argument("--only", default="training,attention,head,decode,cross_entropy,moving,products")
    options.add_argument("--seconds", type=float, default=560, help="no new piece of work begins after that")
    chosen = options.parse_args()
    if not torch.cuda.is_available():
        print("PyTorch sees no GPU here", file=sys.stderr)
        return 3
    start = time.time()
    report = Report(chosen.output)
    report.root["device"] = torch.cuda.get_device_name()
    report.write()
    flush = torch.empty(64 << 20, device="cuda")  # 256 MB
    only = chosen.only.split(",")
    pieces = []

    def add(kind, name, piece):
        if kind in only:
            pieces.append((f"{kind} {name}", piece))

    def add_training(size, B, precision="bf16", compiled=True, cudnn=False):
        name = f"{size} B={B} {precision}" + (" cudnn" if cudnn else "")
        add("training", name, lambda: training(report, size, B, precision, compiled, cudnn))

    def add_attention(B, T, H, D, causal):
        add("attention", f"T={T} D={D}", lambda: attention(report, B, T, H, D, causal, flush))

    def add_decoding(size, B):
        add("decode", f"{size} B={B}", lambda: decode(report, size, B))

    # What has a goal first, and of that what takes least: --seconds may end it at any piece, and compiling takes long.
    add("products", "", lambda: products(report, flush))
    for B, T, H, D in ((4, 4096, 16, 64), (4, 4096, 16, 128), (2, 8192, 16, 128)):
        for causal in (False, True):
            add_attention(B, T, H, D, causal)
    add("cross_entropy", "", lambda: cross_entropy(report, flush))
    add("head", "and loss", lambda: head(report, flush))
    for B in (1, 64):
        add_decoding("gpt2", B)
    for B in (16, 64):
        add_training("gpt2", B)
    add_training("gpt2", 64, cudnn=True)
    for B in (1, 64):
        add_decoding("gpt2-xl", B)
    add_training("gpt2-medium", 16)
    for B in (8, 16):
        add_training("gpt2-xl", B)
    add("moving", "norms and AdamW", lambda: moving(report, flush))
    for B, T, H, D in ((4, 1024, 12, 64), (4, 4096, 16, 80), (4, 4096, 16, 96)):
        add_attention(B, T, H, D, True)
    add_training("gpt2", 16, cudnn=True)
    add_training("gpt2", 16, "fp32")
    add_training("gpt2", 16, compiled=False)
    failed = 0
    for name, piece in pieces:
        if time.time() - start > chosen.seconds:
            report.root["failures"].append(f"{name}: no time left")
            failed = 1
            continue
        try:
            piece()
        except Exception as e:  # whatever it is, the next piece is to run, and the report says it
            failed = 1
            report.root["failures"].append(f"{name}: {type(e).__name__}: {e}")
            print(f"failed: {name}: {e}", file=sys.stderr)
        report.write()  # whatever stops the next piece
        gc.collect()
        torch.cuda.empty_cache()
    report.write()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
