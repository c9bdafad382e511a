/**
 * What the web page of a vault would do, for tests that drive a real browser: loaded into every page as `vault`. Plain
 * JavaScript, because it runs in the browser.
 */
globalThis.vault = (() => {
  /** Waits for one event of a media element; its error rejects. */
  const happens = (media, name) =>
    new Promise((resolve, reject) => {
      media.addEventListener(name, resolve, { once: true });
      media.addEventListener('error', () => reject(new Error(`media error ${media.error?.code}`)), {
        once: true,
      });
    });

  const reaches = async (media, seconds) => {
    while (media.currentTime < seconds) await happens(media, 'timeupdate');
    return media.currentTime;
  };

  const players = new Map();

  return {
    /** Status and body of a request that this page makes itself; `failed` when the browser does not let it. */
    async ask(path, { method = 'POST', json, token, ...rest } = {}) {
      const headers = {
        ...(json === undefined ? {} : { 'content-type': 'application/json' }),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      };
      const body = json === undefined ? {} : { body: JSON.stringify(json) };
      try {
        const response = await fetch(path, { method, headers, ...body, ...rest });
        const text = await response.text();
        return { status: response.status, body: text.startsWith('{') ? JSON.parse(text) : null };
      } catch {
        return { status: 'failed', body: null };
      }
    },

    /** Plays a little from the beginning; the duration in seconds, and where the player stood then. */
    async play(name, url) {
      const media = document.createElement('audio');
      media.src = url;
      players.set(name, media);
      document.body.append(media);
      await Promise.all([happens(media, 'loadedmetadata'), media.play()]);
      return { duration: media.duration, reached: await reaches(media, 0.3) };
    },

    /** Goes to another place and plays on there; where the player stood then. */
    async seek(name, seconds) {
      const media = players.get(name);
      media.currentTime = seconds;
      await happens(media, 'seeked');
      return reaches(media, seconds + 0.3);
    },

    /** How the element of a kind ends that is made to load an address: `loaded`, or the error of a player. */
    async embed(kind, url) {
      const element = document.createElement(kind);
      element.src = url;
      element.preload = 'auto';
      const outcome = Promise.race([
        happens(element, 'loadeddata').then(
          () => 'loaded',
          (error) => error.message,
        ),
        ...(kind === 'audio' || kind === 'video' ? [] : [happens(element, 'load').then(() => 'loaded')]),
      ]);
      document.body.append(element);
      return outcome;
    },

    cookies: () => document.cookie,
  };
})();
