"""Signs a file as `minisign -S` does, with a key made of a seed: Ed25519 (RFC 8032) over BLAKE2b. For tests alone.

minisign.py SEED FILE prints the public key, then the text of the signature. It guards no secret: it is slow, and its
time depends on the key.
"""

import base64
import hashlib
import sys

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def add(one, other):
    (x1, y1, z1, t1), (x2, y2, z2, t2) = one, other
    a, b = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    c, d = 2 * t1 * t2 * D % P, 2 * z1 * z2 % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(scalar, point):
    result = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point, scalar = add(point, point), scalar >> 1
    return result


def base():
    y = 4 * pow(5, P - 2, P) % P
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    x = P - x if x & 1 else x
    return x, y, 1, x * y % P


def packed(point):
    x, y, z, _ = point
    inverse = pow(z, P - 2, P)
    x, y = x * inverse % P, y * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def number(*parts):
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little")


class Key:
    def __init__(self, seed):
        digest = hashlib.sha512(seed).digest()
        self.scalar = int.from_bytes(digest[:32], "little") & (1 << 254) - 8 | 1 << 254
        self.prefix = digest[32:]
        self.public = packed(times(self.scalar, base()))

    def sign(self, message):
        secret = number(self.prefix, message) % ORDER
        point = packed(times(secret, base()))
        challenge = number(point, self.public, message) % ORDER
        return point + ((secret + challenge * self.scalar) % ORDER).to_bytes(32, "little")


def main():
    seed, path = sys.argv[1:]
    key, name = Key(hashlib.sha256(seed.encode()).digest()), hashlib.sha256(b"number" + seed.encode()).digest()[:8]
    with open(path, "rb") as file:
        signature = key.sign(hashlib.blake2b(file.read()).digest())
    comment = "timestamp:0\tfile:policy.wasm\thashed"
    text = lambda data: base64.b64encode(data).decode()
    print(text(b"Ed" + name + key.public))
    print("untrusted comment: signature from a test")
    print(text(b"ED" + name + signature))
    print("trusted comment: " + comment)
    print(text(key.sign(signature + comment.encode())))


main()
