/**
 * y-websocket: the server of the package as it comes, which takes its address from the environment. It has no way to
 * tell which free port it took, so one is looked for before. `YPERSISTENCE` names the folder of its LevelDB, if any.
 */
import { connect, createServer, type AddressInfo } from 'node:net';
import { loadPackage } from '../lib/packages.ts';
import { ready } from '../lib/ready.ts';

const HOST = '127.0.0.1';

const freePort = () =>
  new Promise<number>((resolve) => {
    const probe = createServer().listen(0, HOST, () => {
      const { port } = probe.address() as AddressInfo;
      probe.close(() => resolve(port));
    });
  });

const answers = (port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = connect(port, HOST, () => resolve(true)).on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });

const port = await freePort();
process.env['HOST'] = HOST;
process.env['PORT'] = String(port);
await loadPackage('./node_modules/@y/websocket-server/src/server.js');
while (!(await answers(port))) await new Promise((resolve) => setTimeout(resolve, 10));
ready(port);
