import { describe, expect, test } from 'vitest';
import { mayEver } from '../../../src/core/access.ts';
import { mayAppoint, worksInUnits } from '../../../src/core/appointment.ts';
import { roles } from '../../../src/core/events.ts';

describe('who may make whom (PDL-2)', () => {
  test('exactly this, and nothing else', () => {
    const allowed = roles.flatMap((maker) =>
      roles.filter((role) => mayAppoint(maker, role)).map((role) => `${maker} > ${role}`),
    );
    expect(allowed).toEqual([
      'admin > nurse',
      'admin > compliance',
      'admin > admin',
      'installation_admin > installation_admin',
      'installation_admin > installation_auditor',
    ]);
  });

  test('whoever may make accounts can hear nothing, and whoever hears can make none', () => {
    for (const maker of roles.filter((role) => roles.some((made) => mayAppoint(role, made)))) {
      expect(mayEver(maker, 'recording.play'), maker).toBe(false);
      expect(mayEver(maker, 'playback.listen'), maker).toBe(false);
      expect(mayEver(maker, 'recording.search'), maker).toBe(false);
    }
  });

  test('only roles that hear by care unit have care units', () => {
    expect(roles.filter(worksInUnits)).toEqual(roles.filter((role) => mayEver(role, 'recording.play')));
  });
});
