# Events of the services' logs onto an event bus: CloudWatch Logs hands lines with an `event` field to a function, which puts them there. Outside the VPC:
# it reaches nothing in it, and needs no endpoint.

resource "aws_cloudwatch_log_group" "this" {
  name              = "/aws/lambda/${var.function}"
  retention_in_days = var.log_retention_days
}

resource "aws_iam_role" "this" {
  name               = var.role
  assume_role_policy = var.assume_policy
}

resource "aws_iam_role_policy" "this" {
  name   = "events"
  role   = aws_iam_role.this.id
  policy = var.policy
}

resource "aws_lambda_function" "this" {
  function_name                  = var.function
  role                           = aws_iam_role.this.arn
  filename                       = var.zip
  source_code_hash               = filebase64sha256(var.zip)
  runtime                        = var.size.runtime
  handler                        = var.size.handler
  architectures                  = [var.size.architecture]
  memory_size                    = var.size.memory
  timeout                        = var.size.timeout
  reserved_concurrent_executions = var.size.reserved_concurrency

  environment {
    variables = {
      GOPCAST_EVENT_BUS = var.bus_arn
      GOPCAST_STACK     = var.stack
      GOPCAST_LOG       = var.log
    }
  }

  logging_config {
    # Its lines are JSON already; the platform's own stay text.
    log_format = "Text"
    log_group  = aws_cloudwatch_log_group.this.name
  }

  depends_on = [aws_iam_role_policy.this]
}

# What fails is tried again by Lambda, and dropped after that; dropping rings an alarm. The events stay in the logs.
resource "aws_lambda_function_event_invoke_config" "this" {
  function_name                = aws_lambda_function.this.function_name
  maximum_retry_attempts       = var.size.retries
  maximum_event_age_in_seconds = var.size.max_age
}

resource "aws_lambda_permission" "logs" {
  for_each       = var.log_groups
  statement_id   = "logs-${each.key}"
  action         = "lambda:InvokeFunction"
  function_name  = aws_lambda_function.this.function_name
  principal      = "logs.amazonaws.com"
  source_account = var.account
  source_arn     = "${each.value.arn}:*"
}

resource "aws_cloudwatch_log_subscription_filter" "this" {
  for_each        = var.log_groups
  name            = "${var.function}-${each.key}"
  log_group_name  = each.value.name
  filter_pattern  = var.size.pattern
  destination_arn = aws_lambda_function.this.arn

  depends_on = [aws_lambda_permission.logs]
}
