import { describe, expect, test } from 'vitest';
import { SNIFF_BYTES, sniff } from '../../../../src/core/audio/sniff.ts';

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');

test.each([
  ['\x7fELF\x02\x01', 'elf'],
  ['MZ\x90\0', 'windows_executable'],
  ['\xfe\xed\xfa\xce', 'mach_o'],
  ['\xfe\xed\xfa\xcf', 'mach_o'],
  ['\xce\xfa\xed\xfe', 'mach_o'],
  ['\xcf\xfa\xed\xfe', 'mach_o'],
  ['\xca\xfe\xba\xbe', 'java_class'],
  ['\0asm\x01', 'wasm'],
  ['#!/bin/sh\n', 'script'],
  ['\xef\xbb\xbf#!/usr/bin/env node', 'script'],
  ['PK\x03\x04', 'zip'],
  ['PK\x05\x06', 'zip'],
  ['PK\x07\x08', 'zip'],
  ['\x1f\x8b\x08', 'gzip'],
  ['BZh9', 'bzip2'],
  ['\xfd7zXZ\0', 'xz'],
  ['\x28\xb5\x2f\xfd', 'zstd'],
  ['7z\xbc\xaf\x27\x1c', 'seven_zip'],
  ['Rar!\x1a\x07\x01\0', 'rar'],
  [`${'call.wav'.padEnd(257, '\0')}ustar\0`, 'tar'],
  ['MSCF\0\0\0\0', 'cab'],
])('%j is refused as %s', (text, refusal) => {
  expect(sniff(latin1(text))).toEqual({ kind: 'refused', refusal });
});

test.each([
  ['RIFF\0\0\0\0WAVEfmt ', 'wav'],
  ['RF64\xff\xff\xff\xffWAVE', 'wav'],
  ['BW64\xff\xff\xff\xffWAVE', 'wav'],
  ['OggS\0\x02', 'ogg'],
  ['fLaC\0\0\0\x22', 'flac'],
  ['#!AMR\n', 'amr'],
  ['#!AMR-WB\n', 'amr'],
  ['.snd\0\0\0\x20', 'au'],
  ['\0\0\0\x20ftypM4A ', 'mp4'],
  ['\x1a\x45\xdf\xa3', 'webm'],
])('%j is %s', (text, container) => {
  expect(sniff(latin1(text))).toEqual({ kind: 'audio', container });
});

test.each([
  '',
  'RIFF',
  'RIFF\0\0\0\0AVI ',
  'RIFF\0\0\0\0WAV',
  'PK',
  'ID3\x04',
  '\xff\xfb\x90',
  '%PDF-1.7',
  '\x89PNG',
  '<html>',
  'ustar',
])('%j is not known by its magic', (text) => {
  expect(sniff(latin1(text))).toEqual({ kind: 'unknown' });
});

test('what lies beyond the window is not looked at', () => {
  const late = Buffer.concat([Buffer.alloc(SNIFF_BYTES), latin1('\x7fELF')]);
  expect(sniff(late)).toEqual({ kind: 'unknown' });
});

describe('where its sender declares sound without a container', () => {
  const program = Buffer.alloc(400);
  program.write('MZ', 'latin1');
  program.writeUInt32LE(128, 0x3c);
  program.write('PE\0\0', 128, 'latin1');
  const late = Buffer.from(program);
  late.writeUInt32LE(100_000, 0x3c);

  test.each([
    ['elf', latin1('\x7fELF\x02\x01')],
    ['zip', latin1('PK\x03\x04')],
    ['windows_executable', program],
    ['windows_executable', Buffer.concat([late, latin1('run in DOS mode')])],
    ['script', latin1('#!/bin/sh\necho')],
    ['script', latin1('#! /usr/bin/env node\r\n')],
    ['gzip', latin1('\x1f\x8b\x08\0\x01\x02\x03\x04\x02\x03')],
    ['bzip2', latin1('BZh91AY&SY')],
  ])('%s is refused all the same', (refusal, head) => {
    expect(sniff(head, true)).toEqual({ kind: 'refused', refusal });
  });

  test.each([
    ['MZ', late],
    ['MZ', latin1('MZ')],
    ['#!', latin1('#!\x80')],
    ['gzip', latin1('\x1f\x8b')],
    ['gzip', latin1('\x1f\x8b\x08\0\x01\x02\x03\x04\x77\x03')],
    ['bzip2', latin1('BZh9')],
  ])('%s alone is not', (_, head) => {
    expect(sniff(head, true)).toEqual({ kind: 'unknown' });
  });
});
