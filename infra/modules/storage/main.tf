# The bucket of chunks, segments, manifests and pages. Private: the CDN reads it, and nobody else but our own roles.

locals {
  cors = var.cors
}

resource "aws_s3_bucket" "this" {
  bucket        = var.bucket
  force_destroy = var.force_destroy
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket                  = aws_s3_bucket.this.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  bucket = aws_s3_bucket.this.id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id
  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    id     = "abort-uploads"
    status = "Enabled"
    filter {}
    abort_incomplete_multipart_upload {
      days_after_initiation = var.rules.abort_incomplete_uploads
    }
  }

  dynamic "rule" {
    for_each = var.rules.lifecycle
    content {
      id     = rule.value.id
      status = "Enabled"
      filter {
        prefix = rule.value.prefix
      }
      dynamic "expiration" {
        for_each = can(rule.value.expire) ? [rule.value.expire] : []
        content {
          days = expiration.value
        }
      }
      dynamic "transition" {
        for_each = can(rule.value.transition) ? [rule.value.transition] : []
        content {
          days          = transition.value.days
          storage_class = transition.value.class
        }
      }
    }
  }
}

resource "aws_s3_bucket_cors_configuration" "this" {
  bucket = aws_s3_bucket.this.id
  cors_rule {
    # S3 answers preflights by itself and takes no OPTIONS here.
    allowed_methods = [for method in local.cors.allow_methods : method if method != "OPTIONS"]
    allowed_origins = [local.cors.allow_origin]
    allowed_headers = local.cors.allow_headers
    expose_headers  = local.cors.expose_headers
    max_age_seconds = local.cors.max_age
  }
}

resource "aws_s3_bucket_policy" "this" {
  bucket     = aws_s3_bucket.this.id
  policy     = var.policy
  depends_on = [aws_s3_bucket_public_access_block.this]
}
