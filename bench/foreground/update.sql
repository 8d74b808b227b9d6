\set id random(1, :rows)
\set tenant random(0, 499)
UPDATE public.records SET tenant = :tenant WHERE id = :id;
