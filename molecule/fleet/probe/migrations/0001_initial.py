from django.db import migrations, models

ID = models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")


class Migration(migrations.Migration):
    initial = True
    dependencies = ()
    operations = (
        migrations.CreateModel("Item", [("id", ID), ("text", models.CharField(max_length=100))]),
        migrations.CreateModel(
            "Work",
            [
                ("key", models.CharField(max_length=50, primary_key=True, serialize=False)),
                ("count", models.IntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            "Tick",
            [
                ("id", ID.clone()),
                ("task", models.CharField(max_length=50)),
                ("scheduler", models.CharField(max_length=100)),
                ("sent", models.FloatField()),
            ],
        ),
    )
