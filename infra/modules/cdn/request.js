// The CDN's viewer-request function: rewrites, what is out of reach, and the time of day, by the rules of infra/data/cdn.json.
// CloudFront's JavaScript runtime 2.0. The path arrives as it was sent, its escapes not yet decoded.

var rules = ${rules};

function reply(status, text, body, type) {
  var headers = { 'cache-control': { value: 'no-store' }, 'access-control-allow-origin': { value: '*' } };
  if (body === undefined) return { statusCode: status, statusDescription: text, headers: headers };
  headers['content-type'] = { value: type };
  return { statusCode: status, statusDescription: text, headers: headers, body: body };
}

function decode(path) {
  try {
    var text = decodeURIComponent(path);
    return /[\u0000-\u001f\u007f-\u009f]/.test(text) ? null : text;
  } catch (error) {
    return null;
  }
}

// Whether the path has the form `from`, in which `{name}` is any one segment.
function isRewritten(from, path) {
  var want = from.split('/');
  var have = path.split('/');
  return want.length === have.length && want.every(function (part, i) {
    return part === have[i] || (part[0] === '{' && part[part.length - 1] === '}' && have[i] !== '');
  });
}

function isPlain(key) {
  return key.indexOf('\\') < 0 && key.split('/').every(function (part) {
    return part !== '' && part !== '.' && part !== '..';
  });
}

function handler(event) {
  var request = event.request;
  var path = decode(request.uri);
  if (path === null || path[0] !== '/') return reply(400, 'Bad Request');
  var timed = rules.functions.some(function (f) { return f.path === path && f.function === 'utc-time'; });
  if (timed) return reply(200, 'OK', new Date().toISOString(), 'text/plain; charset=utf-8');
  var rewrite = rules.rewrites.find(function (r) { return isRewritten(r.from, path); });
  if (rewrite) {
    request.uri = rewrite.to;
    return request;
  }
  var key = path.slice(1);
  var inReach = rules.prefixes.some(function (p) { return key.length > p.length && key.startsWith(p); });
  return inReach && isPlain(key) ? request : reply(404, 'Not Found');
}
