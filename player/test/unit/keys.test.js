/** The keyboard. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { command, LEAP_S, STEP_S } from '../../src/core/keys.js';

const press = (key, on = 'page', modified = false) => command({ key, on, modified });

test('keys act on the page and on the player', () => {
  for (const on of ['page', 'player', 'seek']) {
    assert.deepEqual(press(' ', on), { does: 'toggle' });
    assert.deepEqual(press('K', on), { does: 'toggle' });
    assert.deepEqual(press('ArrowLeft', on), { does: 'shift', seconds: -STEP_S });
    assert.deepEqual(press('l', on), { does: 'shift', seconds: LEAP_S });
    assert.deepEqual(press('?', on), { does: 'help' });
  }
  assert.deepEqual(press('End', 'player'), { does: 'to', part: 1 });
});

test('the page keeps its scrolling, a focused control its own keys', () => {
  for (const key of ['ArrowUp', 'ArrowDown', 'Home', 'End']) assert.equal(press(key, 'page'), null, key);
  for (const key of [' ', 'Enter']) assert.equal(press(key, 'button'), null, key);
  for (const key of ['ArrowLeft', 'ArrowUp', 'Home']) assert.equal(press(key, 'volume'), null, key);
  assert.equal(press('ArrowDown', 'link'), null);
  assert.deepEqual(press('m', 'button'), { does: 'mute' });
  for (const key of [' ', 'k', 'ArrowDown', 'Escape']) {
    assert.equal(press(key, 'menu'), null);
    assert.equal(press(key, 'text'), null);
  }
});

test('the browser’s own shortcuts and other keys are left alone', () => {
  assert.equal(press('f', 'page', true), null);
  for (const key of ['x', 'Tab', 'Escape', 'F5', 'Enter']) assert.equal(press(key), null, key);
});
