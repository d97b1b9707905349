# The CDN. Everything it does by path comes from infra/data/cdn.json, which the local CDN stand-in reads too.

locals {
  rules = var.rules

  # "*" is the default behaviour; the others in order.
  behaviors = [for behavior in local.rules.behaviors : behavior if behavior.pattern != "*"]
  default   = one([for behavior in local.rules.behaviors : behavior if behavior.pattern == "*"])

  # CloudFront picks the behaviour by the path that the viewer asked for, before the function rewrites it. So a path that stands for
  # another gets that one's behaviour.
  rewritten = [
    for rewrite in local.rules.rewrites : {
      pattern = replace(rewrite.from, "/\\{[a-z]+\\}/", "*")
      ttl     = [for b in local.rules.behaviors : b if can(regex("^${replace(replace(b.pattern, ".", "\\."), "*", ".*")}$", rewrite.to))][0].ttl
      headers = [for b in local.rules.behaviors : b if can(regex("^${replace(replace(b.pattern, ".", "\\."), "*", ".*")}$", rewrite.to))][0].headers
    }
  ]
  functions = [for f in local.rules.functions : { pattern = f.path, ttl = local.default.ttl, headers = f.headers }]
  ordered   = concat(local.functions, local.rewritten, local.behaviors)

  # One cache policy for each set of times.
  times = { for behavior in concat(local.ordered, [local.default]) : "${behavior.ttl.min}-${behavior.ttl.default}-${behavior.ttl.max}" => behavior.ttl... }

  # CloudFront takes these in a block of their own and refuses them among the others.
  security_headers = ["Content-Security-Policy", "Referrer-Policy", "X-Content-Type-Options"]

  # Only the media are signed: the pages are where a viewer gets the signature.
  key_groups = { media = aws_cloudfront_key_group.viewers[*].id, pages = [], embed = [] }
}

resource "aws_cloudfront_origin_access_control" "bucket" {
  name                              = "${var.name}-bucket"
  description                       = "The CDN signs what it asks of the bucket"
  origin_access_control_origin_type = "s3"
  signing_behavior                  = "always"
  signing_protocol                  = "sigv4"
}

resource "aws_cloudfront_cache_policy" "this" {
  for_each    = local.times
  name        = "${var.name}-${each.key}"
  comment     = "Times to live, seconds: least, default, most"
  min_ttl     = each.value[0].min
  default_ttl = each.value[0].default
  max_ttl     = each.value[0].max

  parameters_in_cache_key_and_forwarded_to_origin {
    enable_accept_encoding_brotli = each.value[0].max > 0
    enable_accept_encoding_gzip   = each.value[0].max > 0
    cookies_config {
      cookie_behavior = "none"
    }
    headers_config {
      header_behavior = "none"
    }
    query_strings_config {
      query_string_behavior = "none"
    }
  }
}

# What S3 needs to answer a preflight.
resource "aws_cloudfront_origin_request_policy" "preflight" {
  name    = "${var.name}-preflight"
  comment = "Lets the bucket answer preflights"
  cookies_config {
    cookie_behavior = "none"
  }
  headers_config {
    header_behavior = "whitelist"
    headers {
      items = ["Access-Control-Request-Headers", "Access-Control-Request-Method", "Origin"]
    }
  }
  query_strings_config {
    query_string_behavior = "none"
  }
}

resource "aws_cloudfront_response_headers_policy" "this" {
  for_each = local.rules.headers
  name     = "${var.name}-${each.key}"
  comment  = "Cross-origin sharing and headers"

  cors_config {
    access_control_allow_credentials = false
    access_control_max_age_sec       = each.value.cors.max_age
    origin_override                  = true
    access_control_allow_origins {
      items = [each.value.cors.allow_origin]
    }
    access_control_allow_methods {
      items = each.value.cors.allow_methods
    }
    access_control_allow_headers {
      items = each.value.cors.allow_headers
    }
    access_control_expose_headers {
      items = each.value.cors.expose_headers
    }
  }

  security_headers_config {
    dynamic "content_type_options" {
      for_each = contains(keys(each.value.set), "X-Content-Type-Options") ? [true] : []
      content {
        override = true
      }
    }
    dynamic "content_security_policy" {
      for_each = contains(keys(each.value.set), "Content-Security-Policy") ? [each.value.set["Content-Security-Policy"]] : []
      content {
        content_security_policy = content_security_policy.value
        override                = true
      }
    }
    dynamic "referrer_policy" {
      for_each = contains(keys(each.value.set), "Referrer-Policy") ? [each.value.set["Referrer-Policy"]] : []
      content {
        referrer_policy = referrer_policy.value
        override        = true
      }
    }
  }

  custom_headers_config {
    dynamic "items" {
      for_each = { for name, value in each.value.set : name => value if !contains(local.security_headers, name) }
      content {
        header   = items.key
        value    = items.value
        override = true
      }
    }
  }
}

# Rewrites, what is out of reach, and the time of day.
resource "aws_cloudfront_function" "request" {
  name    = "${var.name}-request"
  comment = "Rewrites, reach, time of day"
  runtime = "cloudfront-js-2.0"
  publish = true
  code = templatefile("${path.module}/request.js", {
    rules = jsonencode({
      prefixes = local.rules.origin_prefixes, rewrites = local.rules.rewrites, functions = local.rules.functions
    })
  })
}

resource "aws_cloudfront_public_key" "viewers" {
  for_each    = var.viewer_keys
  name        = "${var.name}-${each.key}"
  encoded_key = each.value
}

resource "aws_cloudfront_key_group" "viewers" {
  count = length(var.viewer_keys) > 0 ? 1 : 0
  name  = "${var.name}-viewers"
  items = [for key in aws_cloudfront_public_key.viewers : key.id]
}

resource "aws_cloudfront_distribution" "this" {
  comment         = var.name
  enabled         = true
  is_ipv6_enabled = true
  http_version    = "http2and3"
  price_class     = var.price_class
  aliases         = var.domain == null ? [] : [var.domain]

  origin {
    origin_id                = "bucket"
    domain_name              = var.bucket_domain_name
    origin_access_control_id = aws_cloudfront_origin_access_control.bucket.id
    origin_shield {
      enabled              = true
      origin_shield_region = var.origin_shield_region
    }
  }

  default_cache_behavior {
    target_origin_id           = "bucket"
    viewer_protocol_policy     = "redirect-to-https"
    allowed_methods            = local.rules.allowed_methods
    cached_methods             = ["GET", "HEAD"]
    compress                   = true
    cache_policy_id            = aws_cloudfront_cache_policy.this["${local.default.ttl.min}-${local.default.ttl.default}-${local.default.ttl.max}"].id
    origin_request_policy_id   = aws_cloudfront_origin_request_policy.preflight.id
    response_headers_policy_id = aws_cloudfront_response_headers_policy.this[local.default.headers].id
    function_association {
      event_type   = "viewer-request"
      function_arn = aws_cloudfront_function.request.arn
    }
  }

  dynamic "ordered_cache_behavior" {
    for_each = local.ordered
    iterator = behavior
    content {
      path_pattern               = behavior.value.pattern
      target_origin_id           = "bucket"
      viewer_protocol_policy     = "redirect-to-https"
      allowed_methods            = local.rules.allowed_methods
      cached_methods             = ["GET", "HEAD"]
      compress                   = true
      cache_policy_id            = aws_cloudfront_cache_policy.this["${behavior.value.ttl.min}-${behavior.value.ttl.default}-${behavior.value.ttl.max}"].id
      origin_request_policy_id   = aws_cloudfront_origin_request_policy.preflight.id
      response_headers_policy_id = aws_cloudfront_response_headers_policy.this[behavior.value.headers].id
      trusted_key_groups         = behavior.value.pattern == "/time" ? [] : local.key_groups[behavior.value.headers]
      function_association {
        event_type   = "viewer-request"
        function_arn = aws_cloudfront_function.request.arn
      }
    }
  }

  dynamic "custom_error_response" {
    for_each = local.rules.cached_errors
    content {
      error_code            = custom_error_response.value
      error_caching_min_ttl = local.rules.error_ttl
    }
  }

  restrictions {
    geo_restriction {
      restriction_type = "none"
    }
  }

  viewer_certificate {
    cloudfront_default_certificate = var.domain == null
    acm_certificate_arn            = var.domain == null ? null : var.certificate_arn
    ssl_support_method             = var.domain == null ? null : "sni-only"
    minimum_protocol_version       = var.domain == null ? "TLSv1" : "TLSv1.2_2021"
  }
}
