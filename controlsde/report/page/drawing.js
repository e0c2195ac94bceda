// How densities over time are drawn: by the report, and by the explorer. Codes become numbers, numbers become paths.
"use strict";
const drawing = (() => {
  // The last time that is not after t.
  const before = (times, t) => { let k = times.length - 1; while (k > 0 && times[k] > t) k--; return k; };
  const nearest = (times, t) => {
    const k = before(times, t);
    return k + 1 < times.length && times[k + 1] - t < t - times[k] ? k + 1 : k;
  };

  // Codes to numbers: low + (high - low) code / top, little-endian; the code above top is no number.
  const decode = (track, top) => {
    const bytes = Uint8Array.from(atob(track.codes), (letter) => letter.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    track.values = Float64Array.from({ length: bytes.length / 2 }, (_, n) => {
      const code = view.getUint16(2 * n, true);
      return code > top ? NaN : track.low + (track.high - track.low) * code / top;
    });
  };
  const frame = (track, k, points) => track.values.subarray(k * points, (k + 1) * points);

  // What a curve is at t: a frame where there is one, between two of them their mean by time.
  const between = (track, t, points) => {
    const k = before(track.times, t);
    const now = frame(track, k, points);
    if (track.times[k] === t || k + 1 === track.times.length || t < track.times[0]) return now;
    const next = frame(track, k + 1, points);
    const share = (t - track.times[k]) / (track.times[k + 1] - track.times[k]);
    return now.map((value, n) => value + share * (next[n] - value));
  };

  // Values as a path in a field of so many units, over an axis from low to high; what is no number is a gap.
  const path = (values, low, high, field) => {
    let words = "", pen = "M";
    values.forEach((value, n) => {
      const up = field * (high - value) / (high - low);
      if (Number.isFinite(up)) {
        words += pen + (field * n / (values.length - 1)).toFixed(1) + " " + Math.max(-9e3, Math.min(9e3, up)).toFixed(1);
        pen = "L";
      } else pen = "M";
    });
    return words;
  };
  // Where zero is in the field, or its lower edge.
  const ground = (low, high, field) => (field * Math.min(1, high / (high - low))).toFixed(1);

  const clock = (t, digits) => `t = ${Number(t.toPrecision(digits))}`;

  return { before, nearest, decode, frame, between, path, ground, clock };
})();
