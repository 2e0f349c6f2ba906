"""Networks in plain NumPy as Keras defines them: channels last, kernels (width, in, out), pools without padding."""

import numpy as np


def array(tensor):
    return tensor.detach().double().numpy()


def relu(x):
    return np.maximum(x, 0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def same_conv(x, layer):
    """(batch, time, in) -> (batch, time, out); an even kernel reaches one further to the right."""
    kernel = array(layer.weight).transpose(2, 1, 0)
    width, time = len(kernel), x.shape[1]
    padded = np.pad(x, ((0, 0), ((width - 1) // 2, width - 1 - (width - 1) // 2), (0, 0)))
    return sum(padded[:, k : k + time] @ kernel[k] for k in range(width)) + array(layer.bias)


def pools(x, size):
    kept = x.shape[1] // size * size
    return x[:, :kept].reshape(len(x), -1, size, x.shape[2])


def max_pool(x, size):
    return pools(x, size).max(axis=2)


def average_pool(x, size):
    return pools(x, size).mean(axis=2)


def dense(x, layer):
    return x @ array(layer.weight).T + array(layer.bias)


def batch_norm(x, layer):
    scale = array(layer.weight) / np.sqrt(array(layer.running_var) + 1e-3)
    return (x - array(layer.running_mean)) * scale + array(layer.bias)


def layer_norm(x, layer):
    centred = x - x.mean(axis=-1, keepdims=True)
    spread = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-6)
    return centred / spread * array(layer.weight) + array(layer.bias)


def softmax(x):
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def attention(x, block, heads, key_size):
    """Multi-head attention with kernels (size, heads, key_size) and (heads, key_size, size)."""
    size = x.shape[-1]
    query, key, value = (
        np.einsum("btd,dhk->bthk", x, array(layer.weight).T.reshape(size, heads, key_size))
        + array(layer.bias).reshape(heads, key_size)
        for layer in (block.query, block.key, block.value)
    )
    weights = softmax(np.einsum("bthk,bshk->bhts", query / np.sqrt(key_size), key))
    taken = np.einsum("bhts,bshk->bthk", weights, value)
    kernel = array(block.output.weight).T.reshape(heads, key_size, size)
    return np.einsum("bthk,hkd->btd", taken, kernel) + array(block.output.bias)


def attention_block(x, block, heads, key_size):
    x = layer_norm(x + attention(x, block, heads, key_size), block.attention_norm)
    return layer_norm(x + dense(relu(dense(x, block.expand)), block.contract), block.dense_norm)


def sinusoid(length, size):
    code = np.zeros((length, size))
    for position in range(length):
        for channel in range(size):
            angle = position / 10000 ** (2 * (channel // 2) / size)
            code[position, channel] = np.sin(angle) if channel % 2 == 0 else np.cos(angle)
    return code


def last_state(x, layer):
    """Last state of an LSTM whose kernels hold input, forget, cell and output gate side by side."""
    kernel, recurrence, bias = (array(part) for part in (layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0))
    units = recurrence.shape[1]
    state = cell = np.zeros((len(x), units))
    for step in range(x.shape[1]):
        gates = x[:, step] @ kernel.T + state @ recurrence.T + bias
        put, keep, new, show = (gates[:, g * units : (g + 1) * units] for g in range(4))
        cell = sigmoid(keep) * cell + sigmoid(put) * np.tanh(new)
        state = sigmoid(show) * np.tanh(cell)
    return state


def head(features, extras, network):
    x = np.concatenate([features, extras], axis=1)
    *hidden, output = network.head.dense_layers
    for layer in hidden:
        x = relu(dense(x, layer))
    return dense(x, output)


def one_hot(codes):
    return (codes[..., None] == np.arange(4)).astype(float)


def segments(codes, segment, k, vectors, mean, spread):
    """Standardised mean vectors (batch, segments, size) of the words of codes, counted one by one."""
    number = codes.shape[1] // segment
    out = np.zeros((len(codes), number, vectors.shape[1]))
    for gene, row in enumerate(codes):
        for s in range(number):
            piece = row[s * segment : (s + 1) * segment].tolist()
            words = [piece[start : start + k] for start in range(segment - k + 1)]
            found = [int("".join(map(str, word)), 4) for word in words if 4 not in word]
            if found:
                out[gene, s] = (vectors[found].mean(axis=0) - mean) / spread
    return out


# --- families ---------------------------------------------------------------------------------------------------------
def xpresso(network, codes, extras):
    first, second = network.trunk.convolutions
    x = max_pool(relu(same_conv(one_hot(codes), first)), 30)
    x = max_pool(relu(same_conv(x, second)), 10)
    return head(x.reshape(len(x), -1), extras, network)


def divide(network, codes, extras):
    x, step = one_hot(codes), codes.shape[1] // 10
    parts = []
    for i, branch in enumerate(network.trunk.branches):
        first, second, third = (branch[0].convolution, branch[1], branch[3].convolution)
        part = max_pool(relu(same_conv(x[:, i * step : (i + 1) * step], first)), 5)
        parts.append(max_pool(relu(same_conv(relu(same_conv(part, second)), third)), 5))
    x = np.concatenate(parts, axis=1)
    joined = network.trunk.joined
    x = max_pool(relu(same_conv(x, joined[0].convolution)), 5)
    for i in (1, 3, 5):
        x = relu(same_conv(x, joined[i]))
    return head(x.reshape(len(x), -1), extras, network)


def embedded(network, codes):
    front = network.segments
    return segments(codes, front.segment, front.k, array(front.vectors), array(front.mean), array(front.spread))


def bio_lstm(network, codes, extras):
    x = batch_norm(embedded(network, codes), network.trunk.norm)
    return head(last_state(x, network.trunk.lstm), extras, network)


def tf_net(network, codes, extras):
    return head(np.zeros((len(extras), 0)), extras, network)


def deeplncloc(network, codes, extras):
    x = batch_norm(embedded(network, codes), network.trunk.norm) * 8 + sinusoid(codes.shape[1] // 50, 64)
    x = attention_block(x, network.trunk.blocks[0], heads=4, key_size=64)
    return head(x.mean(axis=1), extras, network)


def token_vectors(embedding, codes):
    tokens = array(embedding.tokens)
    table = np.concatenate([tokens, np.zeros((5 - len(tokens), tokens.shape[1]))])
    return table[codes]


def token(network, codes, extras, heads=1, kind="best"):
    trunk = network.trunk
    positions = array(trunk.embedding.positions)
    x = token_vectors(trunk.embedding, codes)
    x = x * np.sqrt(32) + sinusoid(codes.shape[1], 32) if kind == "globalP" else x + positions
    pool = max_pool if kind == "best_max" else average_pool
    path = pool(relu(same_conv(x, trunk.first)), 30)
    path = batch_norm(pool(relu(same_conv(path, trunk.second)), 10), trunk.norm)
    if kind == "posSkip":
        skip = average_pool(positions[None], 300)
    else:
        skip = batch_norm(average_pool(x, 300), trunk.skip_norm)
    x = path + skip
    for block in trunk.blocks:
        x = attention_block(x, block, heads, key_size=32)
    features = x.mean(axis=1) if kind == "globalP" else x.reshape(len(x), -1)
    return head(features, extras, network)


def original(network, codes, extras):
    x = token_vectors(network.trunk.embedding, codes) * np.sqrt(128) + sinusoid(codes.shape[1], 128)
    x = attention_block(x, network.trunk.blocks[0], heads=2, key_size=64)
    return head(x.mean(axis=1), extras, network)
