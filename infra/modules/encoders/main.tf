# The encoders: a Fargate service on Graviton, a part of it on Spot, scaled by its processors' load.

resource "aws_cloudwatch_log_group" "this" {
  name              = "/${var.name}/encoder"
  retention_in_days = var.log_retention_days
}

resource "aws_iam_role" "execution" {
  name               = "${var.name}-encoder-execution"
  assume_role_policy = var.assume_policy
}

resource "aws_iam_role_policy" "execution" {
  name   = "execution"
  role   = aws_iam_role.execution.id
  policy = var.execution_policy
}

resource "aws_iam_role" "task" {
  name               = "${var.name}-encoder"
  assume_role_policy = var.assume_policy
}

resource "aws_iam_role_policy" "task" {
  name   = "encoder"
  role   = aws_iam_role.task.id
  policy = var.task_policy
}

locals {
  log = {
    logDriver = "awslogs"
    options = {
      "awslogs-group"         = aws_cloudwatch_log_group.this.name
      "awslogs-region"        = var.region
      "awslogs-stream-prefix" = "encoder"
    }
  }

  containers = [
    {
      name                   = "encoder"
      image                  = var.image
      essential              = true
      user                   = var.size.user
      readonlyRootFilesystem = true
      stopTimeout            = var.size.stop_timeout
      portMappings           = [{ containerPort = var.size.port, hostPort = var.size.port, protocol = "tcp" }]
      # Lets a process that is not root listen on the private hop's port.
      systemControls   = [{ namespace = "net.ipv4.ip_unprivileged_port_start", value = tostring(var.size.port) }]
      linuxParameters  = { initProcessEnabled = true }
      environment      = [for key, value in var.environment : { name = key, value = value }]
      secrets          = [{ name = "GOPCAST_HOP_SECRET", valueFrom = var.hop_secret_arn }]
      healthCheck      = { command = var.size.health, interval = 10, timeout = 5, retries = 3, startPeriod = var.size.health_start }
      logConfiguration = local.log
      mountPoints      = []
      volumesFrom      = []
    },
    {
      # Keeps scale-in and deployments from ending this task while it has broadcasts.
      name                   = "protect"
      image                  = var.image
      essential              = false
      user                   = var.size.user
      readonlyRootFilesystem = true
      memoryReservation      = var.size.protect.memory
      entryPoint             = var.size.protect.command
      environment            = [{ name = "GOPCAST_HTTP_ADDR", value = var.environment.GOPCAST_HTTP_ADDR }]
      dependsOn              = [{ containerName = "encoder", condition = "HEALTHY" }]
      logConfiguration       = local.log
      portMappings           = []
      systemControls         = []
      mountPoints            = []
      volumesFrom            = []
    },
  ]
}

resource "aws_ecs_task_definition" "this" {
  family                   = "${var.name}-encoder"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.size.cpu
  memory                   = var.size.memory
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task.arn
  container_definitions    = jsonencode(local.containers)

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.size.architecture
  }
}

resource "aws_ecs_service" "this" {
  name                               = "encoder"
  cluster                            = var.cluster_arn
  task_definition                    = aws_ecs_task_definition.this.arn
  desired_count                      = var.size.scale.min
  platform_version                   = "LATEST"
  propagate_tags                     = "SERVICE"
  enable_ecs_managed_tags            = true
  availability_zone_rebalancing      = "ENABLED"
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200

  capacity_provider_strategy {
    capacity_provider = "FARGATE"
    base              = var.size.capacity.on_demand_base
    weight            = var.size.capacity.on_demand_weight
  }

  capacity_provider_strategy {
    capacity_provider = "FARGATE_SPOT"
    base              = 0
    weight            = var.size.capacity.spot_weight
  }

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [var.security_group_id]
    assign_public_ip = false
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  lifecycle {
    # Auto scaling has the say.
    ignore_changes = [desired_count]
  }

  depends_on = [aws_iam_role_policy.task, aws_iam_role_policy.execution]
}

resource "aws_appautoscaling_target" "this" {
  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = "service/${var.cluster_name}/${aws_ecs_service.this.name}"
  min_capacity       = var.size.scale.min
  max_capacity       = var.size.scale.max
}

resource "aws_appautoscaling_policy" "load" {
  name               = "${var.name}-encoder-load"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension
  resource_id        = aws_appautoscaling_target.this.resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = var.size.scale.cpu_percent
    scale_out_cooldown = var.size.scale.out_cooldown
    scale_in_cooldown  = var.size.scale.in_cooldown
    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}
