variable "name" {
  description = "The stack's name: prefix of all names in the account."
  type        = string
  default     = "gopcast"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,18}[a-z0-9]$", var.name))
    error_message = "3 to 20 lower-case letters, digits and hyphens, with a letter first and no hyphen last: the load balancer's and the bucket's names are made from it."
  }
}

variable "region" {
  description = "The data region: bucket, table, gateway, encoders, and edges."
  type        = string
}

variable "ingest_domain" {
  description = "Host name that broadcasters publish to. The certificate is for it."
  type        = string
}

variable "tls_secret_arn" {
  description = "Secrets Manager secret with the edge's certificate: JSON with `certificate` (chain) and `private_key`, both PEM."
  type        = string
}

variable "gateway_zip" {
  description = "The gateway function's zip file, from `make lambda`."
  type        = string
  default     = "../target/lambda/gateway-fn-arm64.zip"
}

variable "events_zip" {
  description = "The events function's zip file, from `make lambda`."
  type        = string
  default     = "../target/lambda/events-fn-arm64.zip"
}

variable "event_bus" {
  description = "Event bus in the data region that events are put on: the account's own, or the name of one that you have made."
  type        = string
  default     = "default"
}

variable "image_tag" {
  description = "Tag of the images in the stack's repositories, from `make images`."
  type        = string
}

variable "zone_id" {
  description = "Route 53 zone of `ingest_domain` (and `playback_domain`), for records in it. Null: make them yourself, see the outputs."
  type        = string
  default     = null
}

variable "playback_domain" {
  description = "Own host name for viewers. Null: CloudFront's."
  type        = string
  default     = null
}

variable "playback_certificate_arn" {
  description = "Certificate of `playback_domain` in ACM in us-east-1."
  type        = string
  default     = null

  validation {
    condition     = (var.playback_domain == null) == (var.playback_certificate_arn == null)
    error_message = "playback_domain and playback_certificate_arn go together."
  }
}

variable "origin_shield_region" {
  description = "Region of CloudFront's Origin Shield. Null: the data region. Not every region has one: take the nearest that has."
  type        = string
  default     = null
}

variable "price_class" {
  description = "Which of CloudFront's POPs serve."
  type        = string
  default     = "PriceClass_All"
}

variable "viewer_keys" {
  description = "Public keys, PEM, by name, of those who sign viewers' URLs or cookies. With any, unsigned requests for media are refused."
  type        = map(string)
  default     = {}
}

variable "accelerator" {
  description = "Whether broadcasters enter through a Global Accelerator."
  type        = bool
  default     = false
}

variable "edge_regions" {
  description = "Load balancers of other regions' edges (infra/edge-region) behind the same accelerator: region to ARN."
  type        = map(string)
  default     = {}

  validation {
    condition     = length(var.edge_regions) == 0 || var.accelerator
    error_message = "Edges of other regions are reached through the accelerator: set accelerator."
  }
}

variable "encoders" {
  description = "Fewest and most encoder tasks, if not those of data/services.json."
  type        = object({ min = number, max = number })
  default     = null

  validation {
    condition     = var.encoders == null || try(var.encoders.min >= 1 && var.encoders.max >= var.encoders.min, false)
    error_message = "At least one encoder, and no fewer at most than at least."
  }
}

variable "ladder" {
  description = "Ladder of new lives, named by its top rung, unless `gopcast live create` says otherwise."
  type        = string
  default     = "720p"

  validation {
    condition     = contains(["360p", "480p", "720p", "1080p", "1440p", "2160p"], var.ladder)
    error_message = "A ladder is one of 360p, 480p, 720p, 1080p, 1440p, 2160p."
  }
}

variable "alarm_topics" {
  description = "SNS topics that are told of alarms."
  type        = list(string)
  default     = []
}

variable "cdn_alarm_topics" {
  description = "SNS topics in us-east-1 that are told of the CDN's alarms."
  type        = list(string)
  default     = []
}

variable "log" {
  description = "Log filter of all services (`GOPCAST_LOG`)."
  type        = string
  default     = "info"
}

variable "disposable" {
  description = "Whether `terraform destroy` may remove a table, a load balancer, repositories and a bucket that are in use. Replays go with them: for trials only."
  type        = bool
  default     = false
}
