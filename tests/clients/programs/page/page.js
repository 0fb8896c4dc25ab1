// An application in the browser, written with npm's `oidc-client-ts`, which knows nothing of this server but its issuer.

const { authority, client_id } = await (await fetch('settings.json')).json();
const manager = new oidc.UserManager({
  authority,
  client_id,
  redirect_uri: `${location.origin}/cb`,
  post_logout_redirect_uri: `${location.origin}/bye`,
  scope: 'openid profile email offline_access',
  loadUserInfo: true,
  automaticSilentRenew: false,
  userStore: new oidc.WebStorageStateStore({ store: sessionStorage }),
});

/** What the test reads. */
function show(id, text) {
  const line = document.createElement('p');
  line.id = id;
  line.textContent = text;
  document.querySelector('main').append(line);
}

function showUser(prefix, user) {
  const { sub, preferred_username, email } = user.profile;
  show(`${prefix}-profile`, [sub, preferred_username, email].join(' '));
  show(`${prefix}-token`, user.access_token);
}

function on(id, act) {
  document.getElementById(id).addEventListener('click', () => act().catch((error) => show('error', error)));
}

on('sign-in', () => manager.signinRedirect());
on('renew', async () => showUser('renewed', await manager.signinSilent()));
on('sign-out', () => manager.signoutRedirect());

try {
  if (location.pathname === '/cb') showUser('signed-in', await manager.signinRedirectCallback());
  if (location.pathname === '/bye') {
    await manager.signoutRedirectCallback();
    show('signed-out', (await manager.getUser()) ?? 'nobody');
  }
} catch (error) {
  show('error', error);
}
show('loaded', location.pathname);
