variable "region" {
  description = "Where these edges are."
  type        = string
}

variable "stack" {
  description = "The output `edge_region` of the root module."
  type = object({
    name          = string
    data_region   = string
    bucket        = string
    function_arn  = string
    ingest_domain = string
    image         = string
    event_bus_arn = string
  })

  validation {
    condition     = var.stack.data_region != var.region
    error_message = "The data region has its edges from the root module."
  }
}

variable "tls_secret_arn" {
  description = "Secret in this region with the edge's certificate: JSON with `certificate` and `private_key`, PEM. Replicate the data region's."
  type        = string
}

variable "events_zip" {
  description = "The events function's zip file, from `make lambda`."
  type        = string
  default     = "../../target/lambda/events-fn-arm64.zip"
}

variable "log" {
  description = "Log filter (`GOPCAST_LOG`)."
  type        = string
  default     = "info"
}

variable "disposable" {
  description = "Whether `terraform destroy` may remove the load balancer."
  type        = bool
  default     = false
}
