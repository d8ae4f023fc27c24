-- Patient monitoring: vital signs arrive late and out of order; each minute is judged once all of it is there.

CREATE TABLE patients (patient VARCHAR PRIMARY KEY, ward VARCHAR, bed INT);

-- A monitor may be half a minute late. What comes later than that is counted as rejected, and not mixed into a minute that
-- was judged.
CREATE TABLE vitals (
  patient VARCHAR, ts TIMESTAMP, heart_rate INT, oxygen INT, breaths INT, systolic INT,
  WATERMARK FOR ts AS ts - INTERVAL '30 seconds'
);

-- Each minute of a patient, once, when it is over.
CREATE MATERIALIZED VIEW minutes AS
SELECT patient, window_start AS minute, count(*) AS readings, avg(heart_rate) AS heart_rate, min(oxygen) AS oxygen,
       avg(breaths) AS breaths, avg(systolic) AS systolic
FROM TUMBLE(vitals, ts, INTERVAL '1 minute')
GROUP BY patient, window_start, window_end
EMIT ON WINDOW CLOSE;

-- An early-warning score, after the bands of the National Early Warning Score 2 (Royal College of Physicians, 2017) for
-- these four signs.
CREATE MATERIALIZED VIEW scores AS
SELECT patient, minute, heart_rate, oxygen, breaths, systolic,
       CASE WHEN breaths <= 8 OR breaths >= 25 THEN 3 WHEN breaths >= 21 THEN 2 WHEN breaths <= 11 THEN 1 ELSE 0 END
       + CASE WHEN oxygen <= 91 THEN 3 WHEN oxygen <= 93 THEN 2 WHEN oxygen <= 95 THEN 1 ELSE 0 END
       + CASE WHEN systolic <= 90 OR systolic >= 220 THEN 3 WHEN systolic <= 100 THEN 2 WHEN systolic <= 110 THEN 1 ELSE 0 END
       + CASE WHEN heart_rate <= 40 OR heart_rate >= 131 THEN 3 WHEN heart_rate >= 111 THEN 2
              WHEN heart_rate <= 50 OR heart_rate >= 91 THEN 1 ELSE 0 END AS score
FROM minutes;

CREATE MATERIALIZED VIEW now_in_bed AS
SELECT s.patient, p.ward, p.bed, s.minute, s.heart_rate, s.oxygen, s.score
FROM (
  SELECT patient, minute, heart_rate, oxygen, score, row_number() OVER (PARTITION BY patient ORDER BY minute DESC) AS n FROM scores
) AS s
JOIN patients AS p ON p.patient = s.patient
WHERE s.n = 1;

-- Five and more: somebody comes now. It is over when a later minute is better.
CREATE ALERT urgent ON SELECT patient, ward, bed, score FROM now_in_bed WHERE score >= 5
  PRIMARY KEY (patient) SEVERITY critical;

CREATE DASHBOARD patient_monitoring TITLE 'Ward' AS
  PANEL urgent NUMBER (SELECT count(*) AS patients FROM now_in_bed WHERE score >= 5) WITH (title = 'Urgent', width = 3),
  PANEL heart_rate LINE (SELECT minute, patient, heart_rate FROM scores) WITH (x = minute, y = heart_rate, by = patient, width = 9),
  PANEL beds TABLE (SELECT ward, bed, patient, score, heart_rate, oxygen FROM now_in_bed) WITH (width = 6),
  PANEL score HEATMAP (SELECT minute, patient, score FROM scores) WITH (x = minute, y = patient, color = score, width = 6);
