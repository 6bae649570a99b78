"""The reference decoder: the executable specification that faster decoders are judged by, and their fallback.

Clear before fast. What it does stands in the modules it calls: `json_reader` and `wire` (bytes to messages), `split`,
`json_split` and `sizes` (the same for large bodies), `traces`, `metrics`, `logs` (messages to rows), `values`
(notation), `genai`, `series` and `reasons`.
"""

from __future__ import annotations

from typing_extensions import override

from app.codec.bodies import decode_json, decode_protobuf
from app.codec.contract import Bounds, Decoder, Encoding
from app.model import Chunk, Signal


class ReferenceDecoder(Decoder):
    """Decodes by the official protobuf messages."""

    @override
    def decode(self, signal: Signal, encoding: Encoding, body: bytes, bounds: Bounds) -> Chunk:
        match encoding:
            case Encoding.PROTOBUF:
                return decode_protobuf(signal, body, bounds)
            case Encoding.JSON:
                return decode_json(signal, body, bounds)
