# The one table: bindings, the ledger, heartbeats.

resource "aws_dynamodb_table" "this" {
  name                        = var.table
  billing_mode                = var.rules.billing_mode
  hash_key                    = var.rules.partition_key.name
  range_key                   = var.rules.sort_key.name
  deletion_protection_enabled = var.protect

  attribute {
    name = var.rules.partition_key.name
    type = var.rules.partition_key.type
  }

  attribute {
    name = var.rules.sort_key.name
    type = var.rules.sort_key.type
  }

  ttl {
    attribute_name = var.rules.ttl_attribute
    enabled        = true
  }

  point_in_time_recovery {
    enabled                 = true
    recovery_period_in_days = var.rules.recovery_days
  }

  server_side_encryption {
    enabled = true
  }
}
