\set tenant random(0, 499)
INSERT INTO public.records (created_at, tenant, status, payload) VALUES (now(), :tenant, 'active', '{"path": "/new"}');
