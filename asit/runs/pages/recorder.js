"use strict";
// Hands on what a microphone hears, in blocks of 128 samples of one channel.
registerProcessor("recorder", class extends AudioWorkletProcessor {
  process([channels]) {
    if (channels.length) this.port.postMessage(channels[0].slice());
    return true;
  }
});
