# Fits thickness ~ age + sex in one hemisphere; writes the coefficients and a scatter plot with the fitted line.
arguments <- commandArgs(trailingOnly = TRUE)
subjects <- read.csv(arguments[1])
hemisphere <- arguments[2]

subjects$thickness <- subjects[[paste0(hemisphere, "_thickness_mm")]]
model <- lm(thickness ~ age + sex, data = subjects)

estimates <- summary(model)$coefficients
interval <- confint(model)
table <- data.frame(
  hemisphere = hemisphere,
  term = rownames(estimates),
  estimate = sprintf("%.4f", estimates[, "Estimate"]),
  low = sprintf("%.4f", interval[, 1]),
  high = sprintf("%.4f", interval[, 2]),
  n_subjects = nrow(subjects)
)
write.csv(table, arguments[3], row.names = FALSE, quote = FALSE)

svg(arguments[4], width = 4, height = 3.5)
plot(subjects$age, subjects$thickness, pch = 19, xlab = "age (years)", ylab = "thickness (mm)", main = hemisphere)
abline(lm(thickness ~ age, data = subjects))
invisible(dev.off())
