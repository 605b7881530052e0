from django.contrib.postgres.fields import ArrayField
from django.db import models


class Author(models.Model):
    name = models.CharField(max_length=50)


class Template(models.Model):
    title = models.CharField(max_length=200)
    body = models.TextField(blank=True)
    author = models.ForeignKey(Author, null=True, on_delete=models.CASCADE)
    is_active = models.BooleanField(default=True)
    maybe = models.BooleanField(null=True)
    small = models.SmallIntegerField(default=0)
    number = models.IntegerField(default=0)
    big = models.BigIntegerField(default=0)
    ratio = models.FloatField(default=0)
    price = models.DecimalField(max_digits=30, decimal_places=5, default=0)
    day = models.DateField(null=True)
    at = models.DateTimeField(null=True)
    clock = models.TimeField(null=True)
    length = models.DurationField(null=True)
    key = models.UUIDField(null=True)
    data = models.BinaryField(null=True)
    extra = models.JSONField(null=True)
    tags = ArrayField(models.TextField(null=True), null=True)
    grid = ArrayField(ArrayField(models.IntegerField()), null=True)
    days = ArrayField(models.DateField(), null=True)
    address = models.GenericIPAddressField(null=True)
    slug = models.SlugField(default="")
    mail = models.EmailField(default="")
    file = models.FileField(default="")
