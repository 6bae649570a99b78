"""The identity of a time series: one 64-bit number for resource, scope and attributes, in any order they may come.

`series_id` is XXH64 with seed 0 over this text, all of it UTF-8, lengths in bytes and numbers in decimal:

    list(resource) text(scope name) text(scope version) list(scope attributes) list(point attributes)

    text(t)    := length(t) ":" t
    list(l)    := number of entries ";" entry*   sorted by (key, letter, text), compared byte by byte; doubles stay
    entry      := text(key) letter text(value)   letter and value as in `app.codec.values`

An absent resource or scope is an empty list. What merely describes (schema URLs, dropped counts, entity references)
has no part in it, nor have the metric's name, unit and kind: a series is found by (tenant, metric_name, service_name,
series_id). In ClickHouse, where `xxHash64` is the same function, a row's id is:

    WITH
        t -> concat(toString(length(t)), ':', t) AS text,
        l -> concat(toString(length(l)), ';', arrayStringConcat(
            arrayMap(e -> concat(text(e.1), e.2, text(e.3)), arraySort(l)))) AS list,
        o -> JSONExtract(toString(o), 'Array(Tuple(String, String, String))') AS entries,
        arrayMap((k, v, t) -> (toString(k), t, v), mapKeys(attributes_map), mapValues(attributes_map),
            splitByString('', toString(attributes_types))) AS attributes_list
    SELECT xxHash64(concat(
        list(entries(resource)), text(toString(scope_name)), text(toString(scope_version)), list(entries(scope)),
        list(attributes_list)))
"""

from __future__ import annotations

import xxhash

from app.codec.values import AttributeTexts

Series = xxhash.xxh64
"""The hash of the text so far. A state and not the text, so that a long resource is read once and not per point."""


def series_of_resource(resource: AttributeTexts) -> Series:
    """Start with the attributes of a resource."""
    return Series(_list(resource))


def series_of_scope(series: Series, name: str, version: str, attributes: AttributeTexts) -> Series:
    """Go on with a scope; `series` stays as it is."""
    return _extended(series, b"".join((_text(name), _text(version), _list(attributes))))


def series_id(series: Series, attributes: AttributeTexts) -> int:
    """Finish with the attributes of a point: the id, from 0 to 2^64 - 1; `series` stays as it is."""
    return _extended(series, _list(attributes)).intdigest()


def _extended(series: Series, text: bytes) -> Series:
    longer = series.copy()
    longer.update(text)
    return longer


def _text(text: str) -> bytes:
    encoded = text.encode()
    return b"%d:%b" % (len(encoded), encoded)


def _list(attributes: AttributeTexts) -> bytes:
    # Python compares code points, which order as their UTF-8 bytes do.
    entries = sorted(zip(attributes.keys, attributes.letters, attributes.texts, strict=True))
    parts = [_text(key) + letter.encode() + _text(text) for key, letter, text in entries]
    return b"%d;%b" % (len(parts), b"".join(parts))
